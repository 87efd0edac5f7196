"""Reversing digits: encoder, decoder with attention, teacher forcing by chance."""
import random

import torch
from torch import nn, optim
from torch.nn import functional as F

SOS, EOS, VOCAB, LENGTH = 0, 1, 8, 4


class EncoderRNN(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.gru(self.dropout(self.embedding(x)))


class Attention(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.Wa, self.Ua, self.Va = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys))).squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys)


class DecoderRNN(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, hidden)
        self.attention = Attention(hidden)
        self.gru = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, VOCAB)

    def forward(self, encoder_outputs, hidden, target=None):
        step = torch.full((encoder_outputs.size(0), 1), SOS)
        outputs = []
        for i in range(LENGTH):
            context = self.attention(hidden.permute(1, 0, 2), encoder_outputs)
            output, hidden = self.gru(torch.cat((self.embedding(step), context), dim=2), hidden)
            logits = self.out(output)
            outputs.append(logits)
            if target is not None:
                step = target[:, i].unsqueeze(1)
            else:
                step = logits.topk(1)[1].squeeze(-1).detach()
        return F.log_softmax(torch.cat(outputs, dim=1), dim=-1)


random.seed(0)
torch.manual_seed(0)
encoder, decoder = EncoderRNN(24), DecoderRNN(24)
encoder_optimizer, decoder_optimizer = optim.Adam(encoder.parameters(), lr=1e-2), optim.Adam(decoder.parameters(), lr=1e-2)
criterion = nn.NLLLoss()
losses = []
for step in range(80):
    source = torch.randint(2, VOCAB, (32, LENGTH))
    target = source.flip(1)
    encoder_optimizer.zero_grad()
    decoder_optimizer.zero_grad()
    encoder_outputs, hidden = encoder(source)
    out = decoder(encoder_outputs, hidden, target if random.random() < 0.7 else None)
    loss = criterion(out.view(-1, out.size(-1)), target.reshape(-1))
    loss.backward()
    encoder_optimizer.step()
    decoder_optimizer.step()
    losses.append(loss.item())
with torch.no_grad():
    encoder.eval(), decoder.eval()
    decoder(*encoder(source)).argmax(-1)
assert sum(losses[-10:]) < sum(losses[:10])

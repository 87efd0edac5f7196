import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader


class Tagger(nn.Module):
    def __init__(self, vocab, tags):
        super().__init__()
        self.embed = nn.Embedding(vocab, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, 12, batch_first=True, bidirectional=True)
        self.out = nn.Linear(24, tags)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        output, _ = self.lstm(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=tokens.size(1))
        return self.out(output)


def collate(pairs):
    words, tags = zip(*pairs)
    return pad_sequence(words, batch_first=True), pad_sequence(tags, batch_first=True, padding_value=-100), torch.tensor([len(w) for w in words])


torch.manual_seed(0)
sentences = [torch.randint(1, 15, (int(n),)) for n in torch.randint(2, 9, (150,))]
data = [(w, (w > 7).long()) for w in sentences]
loader = DataLoader(data, batch_size=16, shuffle=True, collate_fn=collate)
model = Tagger(15, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss(ignore_index=-100)
losses = []
for epoch in range(4):
    for words, tags, lengths in loader:
        model.zero_grad()
        loss = criterion(model(words, lengths).transpose(1, 2), tags)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
assert losses[-1] < losses[0]

rnn = nn.RNN(1, 8)
head = nn.Linear(8, 1)
opt = torch.optim.RMSprop([*rnn.parameters(), *head.parameters()], lr=5e-3)
losses = []
for step in range(40):
    parts = [torch.rand(n, 1) for n in (7, 5, 5, 2)]
    _, hidden = rnn(pack_sequence(parts))
    loss = nn.functional.mse_loss(head(hidden.squeeze(0)).squeeze(-1), torch.stack([p.mean() for p in parts]))
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5])

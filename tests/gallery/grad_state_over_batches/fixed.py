import torch
from torch import nn

text = ("the cat sat on the mat and the dog sat on the log. " * 40)
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
data = torch.tensor([index[c] for c in text])

BATCH, BPTT = 8, 25


def batchify(stream, lanes):
    usable = len(stream) // lanes * lanes
    return stream[:usable].view(lanes, -1)


class CharModel(nn.Module):
    def __init__(self, vocab, dim=48):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.decode = nn.Linear(dim, vocab)

    def forward(self, tokens, memory):
        out, memory = self.rnn(self.embed(tokens), memory)
        return self.decode(self.drop(out)), memory


def sample(model, seed_char, n):
    model.eval()
    token, memory, written = torch.tensor([[index[seed_char]]]), None, seed_char
    with torch.no_grad():
        for _ in range(n):
            logits, memory = model(token, memory)
            token = logits[:, -1].argmax(-1, keepdim=True)
            written += chars[token.item()]
    return written


torch.manual_seed(0)
lanes = batchify(data, BATCH)
model = CharModel(len(chars))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(8):
    model.train()
    memory = None
    losses = []
    for start in range(0, lanes.size(1) - 1, BPTT):
        width = min(BPTT, lanes.size(1) - 1 - start)
        source = lanes[:, start : start + width]
        target = lanes[:, start + 1 : start + 1 + width]
        logits, carried = model(source, memory)
        memory = carried.detach()
        loss = criterion(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch} | ppl {torch.tensor(losses).mean().exp():.2f} | {sample(model, 't', 30)}")

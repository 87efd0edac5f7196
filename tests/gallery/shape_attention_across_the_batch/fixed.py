import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Reader(nn.Module):
    def __init__(self, vocabulary=12):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 24)
        self.place = nn.Parameter(0.1 * torch.randn(6, 24))
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)
        self.out = nn.Linear(24, 2)

    def forward(self, tokens):
        h = self.embed(tokens) + self.place
        h = h + self.attention(h, h, h)[0]
        return self.out(h.amax(dim=1))


def twins(n):
    """Does any token come twice?"""
    tokens = torch.stack([torch.randperm(12)[:6] for _ in range(n)])
    twice = torch.arange(n) % 2
    tokens[twice == 1, 5] = tokens[twice == 1, 0]
    return TensorDataset(tokens, twice)


torch.manual_seed(0)
train_loader = DataLoader(twins(640), batch_size=64, shuffle=True)
val_loader = DataLoader(twins(128), batch_size=64)
model = Reader()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(10):
    model.train()
    total = 0.0
    for tokens, twice in train_loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens), twice)
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        right = sum((model(t).argmax(1) == y).sum().item() for t, y in val_loader)
    print(f"epoch {epoch}: {total / len(train_loader):.4f}, {right / 128:.3f}")

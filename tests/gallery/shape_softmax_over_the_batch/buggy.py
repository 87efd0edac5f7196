import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Pooling(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, h):
        weights = torch.softmax(self.score(h), dim=0)
        return (weights * h).sum(dim=1)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.pool = Pooling(16)
        self.out = nn.Linear(16, 2)

    def forward(self, tokens):
        return self.out(self.pool(self.embed(tokens)))


def complaints(n):
    tokens = torch.randint(2, 30, (n, 10))
    angry = torch.arange(n) % 2
    tokens[torch.arange(n), torch.randint(0, 10, (n,))] = angry
    return TensorDataset(tokens, angry)


torch.manual_seed(0)
model = Classifier()
loader = DataLoader(complaints(512), batch_size=64, shuffle=True)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
for epoch in range(8):
    total = 0.0
    for tokens, angry in loader:
        loss = nn.functional.cross_entropy(model(tokens), angry)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / len(loader):.4f}")

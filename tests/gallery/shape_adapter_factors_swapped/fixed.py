"""Fine-tune a frozen network with low-rank adapters."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Adapted(nn.Module):
    """A frozen linear layer with a trainable correction of low rank beside it."""

    def __init__(self, base: nn.Linear, rank: int):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(base.in_features, rank) * 0.1)
        self.up = nn.Parameter(torch.zeros(rank, base.out_features))

    def forward(self, x):
        return self.base(x) + x @ self.down @ self.up


class Scorer(nn.Module):
    def __init__(self, n_in=20, width=24):
        super().__init__()
        self.entry = nn.Linear(n_in, width)
        self.hidden = nn.Linear(width, width)
        self.exit = nn.Linear(width, 3)

    def forward(self, x):
        x = torch.relu(self.entry(x))
        x = torch.relu(self.hidden(x))
        return self.exit(x)


def task(rotation, n=640):
    x = torch.randn(n, 20)
    return TensorDataset(x, (x @ rotation).argmax(dim=1))


def fit(model, data, epochs, lr):
    loader = DataLoader(data, batch_size=32, shuffle=True)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=lr)
    criterion = nn.CrossEntropyLoss()
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"  epoch {epoch}: {total / len(loader):.3f}")


def adapt(model, rank=4):
    model.hidden = Adapted(model.hidden, rank)
    model.exit = Adapted(model.exit, rank)
    model.entry.requires_grad_(False)
    return model


torch.manual_seed(14)
old = torch.randn(20, 3)
new = old + 0.7 * torch.randn(20, 3)
scorer = Scorer()
print("pre-training")
fit(scorer, task(old), epochs=6, lr=3e-3)
print("adapting")
fit(adapt(scorer), task(new), epochs=6, lr=1e-2)

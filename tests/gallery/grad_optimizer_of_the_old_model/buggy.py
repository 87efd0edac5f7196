import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build(features):
    return nn.Sequential(nn.Linear(features, 20), nn.ReLU(), nn.Linear(20, 1))


def wine(n=240):
    x = torch.randn(n, 3)
    return TensorDataset(x, 0.7 * x[:, :1] - x[:, 1:2] * x[:, 2:])


torch.manual_seed(4)
loader = DataLoader(wine(), batch_size=24, shuffle=True)
optimizer = torch.optim.Adam(build(3).parameters(), lr=5e-3)
model = build(3)
for epoch in range(10):
    total = 0.0
    for x, quality in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), quality)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / len(loader):.4f}")

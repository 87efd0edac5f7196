import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def spirals(n=300):
    kind = torch.arange(n) % 2
    r = torch.rand(n)
    phi = 3 * r + kind * 3.14159
    return torch.stack([r * phi.cos(), r * phi.sin()], 1) + 0.03 * torch.randn(n, 2), kind.float()


def fit(net, loader, optimizer, epochs):
    criterion = nn.BCEWithLogitsLoss()
    for epoch in range(epochs):
        losses = []
        for points, kind in loader:
            optimizer.zero_grad()
            loss = criterion(net(points).squeeze(1), kind)
            loss.backward()
            optimizer.step
            losses.append(loss.item())
        print(f"{epoch:2d} {sum(losses) / len(losses):.4f}")


torch.manual_seed(10)
net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
loader = DataLoader(TensorDataset(*spirals()), batch_size=30, shuffle=True)
fit(net, loader, torch.optim.Adam(net.parameters(), lr=1e-2), epochs=8)

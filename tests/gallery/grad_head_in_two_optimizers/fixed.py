import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.price = nn.Linear(32, 1)

    def forward(self, x):
        return self.price(self.trunk(x)).squeeze(1)


torch.manual_seed(77)
cars = torch.randn(360, 7)
prices = cars[:, 0] * 3 - cars[:, 1].abs() + 0.1 * torch.randn(360)
net = Net()
opt_trunk = torch.optim.Adam(net.trunk.parameters(), lr=5e-3)
opt_heads = torch.optim.Adam(net.price.parameters(), lr=5e-3)
for epoch in range(10):
    total = 0.0
    for rows, price in zip(cars.split(40), prices.split(40)):
        loss = nn.functional.l1_loss(net(rows), price)
        opt_trunk.zero_grad()
        opt_heads.zero_grad()
        loss.backward()
        opt_trunk.step()
        opt_heads.step()
        total += loss.item()
    print(epoch, round(total / 9, 4))

import math

import torch
import torch.nn as nn


class ResidualMLP(nn.Module):
    def __init__(self, width=32, depth=3):
        super().__init__()
        self.lift = nn.Linear(1, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.read = nn.Linear(width, 1)

    def forward(self, x):
        h = self.lift(x)
        for block in self.blocks:
            h = h + torch.tanh(block(h))
        return self.read(h)


def main():
    torch.manual_seed(0)
    time = torch.linspace(0, 2 * math.pi, 256).unsqueeze(1)
    signal = torch.exp(-time / 3) * torch.sin(3 * time)
    model = ResidualMLP()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.MSELoss()
    for it in range(150):
        batch = torch.randint(0, 256, (64,))
        optimiser.zero_grad()
        loss = criterion(model(time[batch]), signal[batch])
        loss.backward()
        optimiser.step()
        if it % 30 == 29:
            print(it + 1, round(loss.item(), 5))


main()

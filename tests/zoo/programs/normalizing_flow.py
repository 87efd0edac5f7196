import math

import torch
from torch import nn


class Coupling(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)
        self.s = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())
        self.t = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))

    def inverse(self, x):
        kept = x * self.mask
        s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
        return (1 - self.mask) * (x - t) * torch.exp(-s) + kept, -s.sum(dim=1)

    def forward(self, z):
        kept = z * self.mask
        s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
        return kept + (1 - self.mask) * (z * torch.exp(s) + t)


class RealNVP(nn.Module):
    def __init__(self, layers=4):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(torch.tensor([i % 2, (i + 1) % 2], dtype=torch.float)) for i in range(layers))

    def log_prob(self, x):
        log_det = x.new_zeros(x.shape[0])
        for layer in reversed(self.layers):
            x, ld = layer.inverse(x)
            log_det += ld
        return -0.5 * (x**2).sum(1) - math.log(2 * math.pi) + log_det

    @torch.no_grad()
    def sample(self, n):
        z = torch.randn(n, 2)
        for layer in self.layers:
            z = layer(z)
        return z


def moons(n):
    angle = math.pi * torch.rand(n)
    upper = (torch.rand(n) > 0.5).float() * 2 - 1
    return torch.stack([angle.cos() + 0.5 * upper, angle.sin() * upper], 1) + 0.05 * torch.randn(n, 2)


torch.manual_seed(0)
flow = RealNVP()
optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
losses = []
for step in range(80):
    loss = -flow.log_prob(moons(128)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] and flow.sample(10).shape == (10, 2)

"""An energy-based model: contrastive divergence with short-run Langevin dynamics and a replay buffer."""
import random

import torch
from torch import nn


class Energy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def langevin(energy, x, steps=10, step_size=0.1):
    is_training = energy.training
    energy.eval()
    for p in energy.parameters():
        p.requires_grad = False
    x = x.detach().clone().requires_grad_(True)
    for _ in range(steps):
        energy(x).sum().backward()
        with torch.no_grad():
            x -= step_size * x.grad.clamp(-1, 1)
            x += 0.05 * torch.randn_like(x)
        x.grad.zero_()
    for p in energy.parameters():
        p.requires_grad = True
    energy.train(is_training)
    return x.detach()


random.seed(0)
torch.manual_seed(0)
energy = Energy()
optimizer = torch.optim.Adam(energy.parameters(), lr=5e-3, betas=(0.0, 0.999))
buffer = [2 * torch.rand(1, 2) - 1 for _ in range(64)]
gaps = []
for it in range(60):
    real = torch.tensor([1.0, 0.0]) + 0.2 * torch.randn(32, 2)
    start = torch.cat(random.choices(buffer, k=32))
    fake = langevin(energy, start)
    buffer = (list(fake.split(1)) + buffer)[:128]
    optimizer.zero_grad()
    real_e, fake_e = energy(torch.cat([real, fake])).chunk(2)
    loss = (real_e - fake_e).mean() + 0.1 * (real_e**2 + fake_e**2).mean()
    loss.backward()
    nn.utils.clip_grad_norm_(energy.parameters(), 0.5)
    optimizer.step()
    gaps.append((fake.mean(0) - real.mean(0)).norm().item())
assert sum(gaps[-10:]) < sum(gaps[:10]), gaps

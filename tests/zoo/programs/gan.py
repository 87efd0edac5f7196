"""A GAN on a ring of points."""
import math

import torch
import torch.nn as nn

torch.manual_seed(0)
LATENT = 4


def real_points(n):
    angle = 2 * math.pi * torch.rand(n)
    return torch.stack([angle.cos(), angle.sin()], 1) * 2


generator = nn.Sequential(nn.Linear(LATENT, 32), nn.ReLU(), nn.Linear(32, 2))
discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Sigmoid())
criterion = nn.BCELoss()
opt_g = torch.optim.Adam(generator.parameters(), lr=5e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(discriminator.parameters(), lr=5e-3, betas=(0.5, 0.999))
radii = []

for step in range(200):
    ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
    # discriminator
    opt_d.zero_grad()
    loss_real = criterion(discriminator(real_points(64)), ones)
    loss_real.backward()
    fake = generator(torch.randn(64, LATENT))
    loss_fake = criterion(discriminator(fake.detach()), zeros)
    loss_fake.backward()
    opt_d.step()
    # generator
    opt_g.zero_grad()
    loss_g = criterion(discriminator(fake), ones)
    loss_g.backward()
    opt_g.step()
    radii.append(abs(fake.detach().norm(dim=1).mean().item() - 2))

assert sum(radii[-20:]) < sum(radii[:20])

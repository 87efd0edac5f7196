"""Two generators, two discriminators, an image pool, identity and cycle losses, one optimizer a side."""
import itertools
import random

import torch
from torch import nn


def mlp(out, last=None):
    return nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, out), *([last] if last else []))


class ImagePool:
    def __init__(self, size=20):
        self.size, self.images = size, []

    def query(self, images):
        out = []
        for image in images.data:
            if len(self.images) < self.size:
                self.images.append(image)
                out.append(image)
            elif random.random() > 0.5:
                k = random.randrange(self.size)
                out.append(self.images[k].clone())
                self.images[k] = image
            else:
                out.append(image)
        return torch.stack(out)


def set_requires_grad(nets, flag):
    for net in nets:
        for p in net.parameters():
            p.requires_grad = flag


random.seed(0)
torch.manual_seed(0)
g_ab, g_ba, d_a, d_b = mlp(2), mlp(2), mlp(1), mlp(1)
opt_g = torch.optim.Adam(itertools.chain(g_ab.parameters(), g_ba.parameters()), lr=3e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(itertools.chain(d_a.parameters(), d_b.parameters()), lr=3e-3, betas=(0.5, 0.999))
pool_a, pool_b = ImagePool(), ImagePool()
mse, l1 = nn.MSELoss(), nn.L1Loss()
cycle = []
for step in range(60):
    real_a, real_b = torch.randn(24, 2), torch.randn(24, 2) + 2
    fake_b, fake_a = g_ab(real_a), g_ba(real_b)
    rec_a, rec_b = g_ba(fake_b), g_ab(fake_a)
    set_requires_grad([d_a, d_b], False)
    opt_g.zero_grad()
    loss_cycle = l1(rec_a, real_a) + l1(rec_b, real_b)
    loss_g = mse(d_b(fake_b), torch.ones(24, 1)) + mse(d_a(fake_a), torch.ones(24, 1)) + 5 * loss_cycle + l1(g_ab(real_b), real_b)
    loss_g.backward()
    opt_g.step()
    set_requires_grad([d_a, d_b], True)
    opt_d.zero_grad()
    for d, real, fake in ((d_a, real_a, pool_a.query(fake_a)), (d_b, real_b, pool_b.query(fake_b))):
        loss_d = 0.5 * (mse(d(real), torch.ones(24, 1)) + mse(d(fake.detach()), torch.zeros(24, 1)))
        loss_d.backward()
    opt_d.step()
    cycle.append(loss_cycle.item())
assert cycle[-1] < cycle[0]

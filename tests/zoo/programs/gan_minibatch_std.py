"""A conditional GAN with minibatch standard deviation and hinge loss; the discriminator mixes the batch on purpose."""
import torch
from torch import nn


class MinibatchStd(nn.Module):
    def forward(self, x):
        std = x.std(dim=0, unbiased=False).mean()
        return torch.cat([x, std.expand(x.size(0), 1)], dim=1)


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(2, 16)
        self.body = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), MinibatchStd(), nn.Linear(17, 16), nn.LeakyReLU(0.2))
        self.out = nn.Linear(16, 1)

    def forward(self, x, y):
        h = self.body(x)
        return self.out(h).squeeze(1) + (h * self.embed(y)).sum(1)


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(2, 4)
        self.net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, z, y):
        return self.net(torch.cat([z, self.embed(y)], 1))


torch.manual_seed(0)
d, g = D(), G()
d_opt, g_opt = torch.optim.Adam(d.parameters(), 4e-3, (0.0, 0.9)), torch.optim.Adam(g.parameters(), 2e-3, (0.0, 0.9))
means = torch.tensor([[1.5, 0.0], [-1.5, 0.5]])
gap = []
for step in range(150):
    y = torch.randint(2, (48,))
    real = means[y] + 0.2 * torch.randn(48, 2)
    fake = g(torch.randn(48, 4), y)
    d_loss = torch.relu(1 - d(real, y)).mean() + torch.relu(1 + d(fake.detach(), y)).mean()
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()
    g_loss = -d(g(torch.randn(48, 4), y), y).mean()
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
    gap.append((fake.detach() - means[y]).norm(dim=1).mean().item())
g.eval()
with torch.no_grad():
    g(torch.randn(6, 4), torch.arange(6) % 2)
assert sum(gap[-20:]) < sum(gap[:20])

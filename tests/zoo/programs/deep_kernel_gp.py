"""A Gaussian process on learned features: the marginal likelihood mixes all samples of the batch."""
import math

import torch
from torch import nn


class DeepGP(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 2))
        self.log_scale, self.log_noise = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(-1.0))

    def kernel(self, a, b):
        return torch.exp(-0.5 * (a.unsqueeze(1) - b.unsqueeze(0)).pow(2).sum(-1) / self.log_scale.exp())

    def nll(self, x, y):
        z = self.features(x)
        K = self.kernel(z, z) + (self.log_noise.exp() + 1e-4) * torch.eye(len(x))
        L = torch.linalg.cholesky(K)
        alpha = torch.cholesky_solve(y, L)
        return (0.5 * (y * alpha).sum() + L.diagonal().log().sum() + 0.5 * len(x) * math.log(2 * math.pi)) / len(x)

    @torch.no_grad()
    def predict(self, x, y, new):
        z, s = self.features(x), self.features(new)
        K = self.kernel(z, z) + self.log_noise.exp() * torch.eye(len(x))
        return self.kernel(s, z) @ torch.linalg.solve(K, y)


torch.manual_seed(0)
x = torch.linspace(-2, 2, 40).unsqueeze(1)
y = torch.sin(3 * x) + 0.1 * torch.randn_like(x)
gp = DeepGP()
opt = torch.optim.Adam(gp.parameters(), lr=1e-2)
losses = []
for step in range(60):
    opt.zero_grad()
    loss = gp.nll(x, y)
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] and (gp.predict(x, y, x) - y).abs().mean() < 0.5

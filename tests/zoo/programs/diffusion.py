import math

import torch
from torch import nn
from torch.nn import functional as F

STEPS = 50
betas = torch.linspace(1e-4, 0.05, STEPS)
alphas_cumprod = torch.cumprod(1 - betas, dim=0)


def extract(a, t, x_shape):
    return a.gather(-1, t).reshape(t.shape[0], *((1,) * (len(x_shape) - 1)))


def q_sample(x0, t, noise):
    return extract(alphas_cumprod.sqrt(), t, x0.shape) * x0 + extract((1 - alphas_cumprod).sqrt(), t, x0.shape) * noise


class TimeEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("freqs", torch.exp(-math.log(100) * torch.arange(dim // 2) / (dim // 2)))

    def forward(self, t):
        args = t[:, None].float() * self.freqs[None]
        return torch.cat([torch.cos(args), torch.sin(args)], dim=-1)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(TimeEmbedding(16), nn.Linear(16, 32), nn.SiLU())
        self.inp, self.mid, self.out = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x, t):
        h = self.inp(x) + self.time(t)
        return self.out(F.silu(self.mid(F.silu(h))))


@torch.no_grad()
def sample(model, n):
    model.eval()
    x = torch.randn(n, 2)
    for i in reversed(range(STEPS)):
        t = torch.full((n,), i, dtype=torch.long)
        alpha, bar = 1 - betas[i], alphas_cumprod[i]
        x = (x - betas[i] / (1 - bar).sqrt() * model(x, t)) / alpha.sqrt()
        if i > 0:
            x = x + betas[i].sqrt() * torch.randn_like(x)
    model.train()
    return x


torch.manual_seed(0)
model = Denoiser()
ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
opt = torch.optim.AdamW(model.parameters(), lr=5e-3)
losses = []
for step in range(120):
    x0 = torch.tensor([2.0, -1.0]) + 0.1 * torch.randn(64, 2)
    t = torch.randint(0, STEPS, (64,))
    noise = torch.randn_like(x0)
    loss = F.mse_loss(model(q_sample(x0, t, noise), t), noise)
    opt.zero_grad()
    loss.backward()
    opt.step()
    ema.update_parameters(model)
    losses.append(loss.item())
    if step % 60 == 59:
        sample(ema.module, 16)
assert sum(losses[-10:]) < sum(losses[:10])

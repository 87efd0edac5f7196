"""StyleGAN's losses: softplus, lazily applied R1 penalty, an EMA generator."""
import copy

import torch
import torch.nn.functional as F
from torch import nn


def requires_grad(model, flag=True):
    for p in model.parameters():
        p.requires_grad = flag


def accumulate(slow, fast, decay=0.9):
    par1, par2 = dict(slow.named_parameters()), dict(fast.named_parameters())
    for k in par1:
        par1[k].data.mul_(decay).add_(par2[k].data, alpha=1 - decay)


torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
g_ema = copy.deepcopy(generator).eval()
g_optim = torch.optim.Adam(generator.parameters(), lr=3e-3, betas=(0.0, 0.99))
d_optim = torch.optim.Adam(discriminator.parameters(), lr=3e-3, betas=(0.0, 0.99))
distances = []
for i in range(150):
    real_img = torch.tensor([1.5, 1.5]) + 0.2 * torch.randn(32, 2)
    requires_grad(generator, False)
    requires_grad(discriminator, True)
    fake_img = generator(torch.randn(32, 4))
    d_loss = F.softplus(discriminator(fake_img)).mean() + F.softplus(-discriminator(real_img)).mean()
    discriminator.zero_grad()
    d_loss.backward()
    d_optim.step()
    if i % 4 == 0:
        real_img.requires_grad = True
        real_pred = discriminator(real_img)
        grad_real, = torch.autograd.grad(outputs=real_pred.sum(), inputs=real_img, create_graph=True)
        r1_loss = grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()
        discriminator.zero_grad()
        (1.0 / 2 * r1_loss * 4 + 0 * real_pred[0, 0]).backward()
        d_optim.step()
    requires_grad(generator, True)
    requires_grad(discriminator, False)
    fake_img = generator(torch.randn(32, 4))
    g_loss = F.softplus(-discriminator(fake_img)).mean()
    generator.zero_grad()
    g_loss.backward()
    g_optim.step()
    accumulate(g_ema, generator)
    distances.append((fake_img.detach().mean(0) - 1.5).norm().item())
assert sum(distances[-20:]) < sum(distances[:20])

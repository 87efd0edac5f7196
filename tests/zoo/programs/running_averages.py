"""Sums over the steps that keep no graph, in their many spellings; metrics on detached outputs; a compiled model."""
from collections import defaultdict, deque

import torch
from torch import nn


class AverageMeter:
    def __init__(self):
        self.sum = self.count = 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / self.count


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
fast = torch.compile(net, backend="eager")
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
meter, running, window, log = AverageMeter(), torch.zeros(()), deque(maxlen=5), defaultdict(list)
smoothed, best = None, float("inf")
for step in range(40):
    x = torch.randn(32, 4)
    y = (x[:, 0] > 0).long()
    out = fast(x)
    loss = nn.functional.cross_entropy(out, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    meter.update(loss.item(), len(x))
    running += loss.detach()
    window.append(loss.data)
    log["loss"].append(float(loss.detach()))
    log["out"].append(out.detach())
    with torch.no_grad():
        smoothed = loss.clone() if smoothed is None else 0.9 * smoothed + 0.1 * loss
    best = min(best, loss.item())
assert log["loss"][-1] < log["loss"][0] and torch.stack(list(window)).mean() < log["loss"][0]

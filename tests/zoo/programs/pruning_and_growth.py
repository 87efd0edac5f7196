"""Pruning by masks, a network that grows layers, an optimizer built anew each epoch, a search for the learning rate."""
import copy

import torch
from torch import nn
from torch.nn.utils import prune

torch.manual_seed(0)
x = torch.randn(128, 6)
y = x[:, :1] * x[:, 1:2]
net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))


def fit(model, optimizer, steps=10):
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


saved = copy.deepcopy(net.state_dict())
finder = torch.optim.SGD(net.parameters(), lr=1e-6)
for exponent in range(12):
    finder.param_groups[0]["lr"] = 1e-6 * 3**exponent
    fit(net, finder, steps=1)
net.load_state_dict(saved)

first = fit(net, torch.optim.Adam(net.parameters(), lr=1e-2), 1)
for epoch in range(3):
    fit(net, torch.optim.Adam(net.parameters(), lr=1e-2 / (epoch + 1)))
prune.l1_unstructured(net[0], "weight", amount=0.3)
last = fit(net, torch.optim.Adam(net.parameters(), lr=1e-2), 20)
prune.remove(net[0], "weight")
assert last < first


class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.blocks, self.out = nn.Linear(6, 16), nn.ModuleList(), nn.Linear(16, 1)

    def forward(self, h):
        h = self.inp(h).relu()
        for block in self.blocks:
            h = h + block(h).relu()
        return self.out(h)


grower = Growing()
opt = torch.optim.Adam(grower.parameters(), lr=5e-3)
first = fit(grower, opt, 1)
for stage in range(3):
    block = nn.Linear(16, 16)
    grower.blocks.append(block)
    opt.add_param_group({"params": block.parameters()})
    last = fit(grower, opt, 10)
assert last < first

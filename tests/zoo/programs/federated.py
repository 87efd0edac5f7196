"""Federated averaging, Reptile, and a population that copies its best."""
import copy

import torch
from torch import nn


def make():
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))


def local(model, seed, steps=5, lr=0.05):
    g = torch.Generator().manual_seed(seed)
    opt = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        x = torch.randn(24, 4, generator=g)
        opt.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
        loss.backward()
        opt.step()
    return loss.item()


torch.manual_seed(0)
server, curve = make(), []
for round_ in range(6):
    states, losses = [], []
    for client in range(3):
        model = copy.deepcopy(server)
        losses.append(local(model, 100 * round_ + client))
        states.append(model.state_dict())
    server.load_state_dict({k: torch.stack([s[k] for s in states]).mean(0) for k in states[0]})
    curve.append(sum(losses))
assert curve[-1] < curve[0]

meta, curve = make(), []
for it in range(8):
    before = copy.deepcopy(meta.state_dict())
    curve.append(local(meta, it))
    after = meta.state_dict()
    meta.load_state_dict({k: before[k] + 0.5 * (after[k] - before[k]) for k in before})
assert curve[-1] < curve[0]

population = [(make(), lr) for lr in (0.3, 0.05, 0.01)]
for generation in range(5):
    scores = [local(m, generation, lr=lr) for m, lr in population]
    best, worst = scores.index(min(scores)), scores.index(max(scores))
    population[worst][0].load_state_dict(population[best][0].state_dict())

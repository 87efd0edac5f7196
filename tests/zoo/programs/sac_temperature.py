"""Soft actor-critic on one state: twin critics, a reparameterised actor, a temperature that is a bare leaf."""
import copy

import torch
from torch import nn
from torch.nn import functional as F


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mu, self.log_std = nn.Linear(2, 32), nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, s):
        h = F.relu(self.body(s))
        dist = torch.distributions.Normal(self.mu(h), self.log_std(h).clamp(-3, 1).exp())
        u = dist.rsample()
        a = torch.tanh(u)
        return a, (dist.log_prob(u) - torch.log(1 - a.pow(2) + 1e-6)).sum(-1, keepdim=True)


class Q(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, s, a):
        return self.net(torch.cat([s, a], -1))


torch.manual_seed(0)
actor, q1, q2 = Actor(), Q(), Q()
t1, t2 = copy.deepcopy(q1), copy.deepcopy(q2)
log_alpha = torch.zeros(1, requires_grad=True)
a_opt = torch.optim.Adam(actor.parameters(), lr=3e-3)
q_opt = torch.optim.Adam([*q1.parameters(), *q2.parameters()], lr=1e-2)
alpha_opt = torch.optim.Adam([log_alpha], lr=1e-2)
got = []
for step in range(150):
    s = torch.rand(64, 2) * 2 - 1
    with torch.no_grad():
        a, _ = actor(s)
        r = -(a - s[:, :1]).pow(2)
        s2 = torch.rand(64, 2) * 2 - 1
        a2, logp2 = actor(s2)
        backup = r + 0.3 * (torch.min(t1(s2, a2), t2(s2, a2)) - log_alpha.exp() * logp2)
    q_loss = F.mse_loss(q1(s, a), backup) + F.mse_loss(q2(s, a), backup)
    q_opt.zero_grad()
    q_loss.backward()
    q_opt.step()
    for p in q_opt.param_groups[0]["params"]:
        p.requires_grad = False
    pi, logp = actor(s)
    a_loss = (log_alpha.exp().detach() * logp - torch.min(q1(s, pi), q2(s, pi))).mean()
    a_opt.zero_grad()
    a_loss.backward()
    a_opt.step()
    for p in q_opt.param_groups[0]["params"]:
        p.requires_grad = True
    alpha_loss = -(log_alpha.exp() * (logp - 1.0).detach()).mean()
    alpha_opt.zero_grad()
    alpha_loss.backward()
    alpha_opt.step()
    with torch.no_grad():
        for net, target in ((q1, t1), (q2, t2)):
            for p, tp in zip(net.parameters(), target.parameters()):
                tp.lerp_(p, 0.02)
    got.append(r.mean().item())
assert sum(got[-20:]) > sum(got[:20])

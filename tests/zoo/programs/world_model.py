"""A learned simulator rolled out over many steps, with scheduled sampling, and a policy that learns through it."""
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 2))
policy = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1), nn.Tanh())
m_opt = torch.optim.Adam(model.parameters(), lr=1e-2)
p_opt = torch.optim.Adam(policy.parameters(), lr=1e-2)


def real(s, a):
    v = s[:, 1:] + 0.2 * a
    return torch.cat([s[:, :1] + 0.2 * v, v], 1)


m_losses, costs = [], []
for it in range(60):
    s = torch.randn(32, 2)
    guess, loss = s, 0.0
    for t in range(4):
        a = 2 * torch.rand(32, 1) - 1
        s = real(s, a)
        guess = guess + model(torch.cat([guess, a], 1))
        loss = loss + (guess - s).pow(2).mean()
        if torch.rand(()) < 0.3:
            guess = s
    m_opt.zero_grad()
    loss.backward()
    m_opt.step()
    m_losses.append(loss.item())
for p in model.parameters():
    p.requires_grad_(False)
for it in range(40):
    s, cost = torch.randn(32, 2), 0.0
    for t in range(5):
        s = s + model(torch.cat([s, policy(s)], 1))
        cost = cost + s.pow(2).sum(1).mean()
    p_opt.zero_grad()
    cost.backward()
    p_opt.step()
    costs.append(cost.item())
assert sum(m_losses[-5:]) < sum(m_losses[:5]) and sum(costs[-5:]) < sum(costs[:5])

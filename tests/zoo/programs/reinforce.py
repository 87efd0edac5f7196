import torch
from torch import nn

torch.manual_seed(0)
pays = torch.tensor([0.1, 0.2, 0.9, 0.3])
policy = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 4))
opt = torch.optim.Adam(policy.parameters(), lr=2e-2)
baseline, got = 0.0, []
for step in range(150):
    logits = policy(torch.ones(32, 1))
    pi = torch.distributions.Categorical(logits=logits)
    arm = pi.sample()
    reward = torch.bernoulli(pays[arm])
    loss = -(pi.log_prob(arm) * (reward - baseline)).mean() - 0.01 * pi.entropy().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    baseline = 0.9 * baseline + 0.1 * reward.mean().item()
    got.append(reward.mean().item())
assert sum(got[-20:]) > sum(got[:20])

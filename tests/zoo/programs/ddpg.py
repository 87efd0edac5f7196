"""Deterministic policy gradient: the actor learns through a critic that its own optimizer does not hold."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1), nn.Tanh())
critic = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
target_critic = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
target_critic.load_state_dict(critic.state_dict())
actor_opt = torch.optim.Adam(actor.parameters(), lr=3e-3)
critic_opt = torch.optim.Adam(critic.parameters(), lr=1e-2)
rewards = []
for step in range(200):
    s = 2 * torch.rand(64, 1) - 1
    with torch.no_grad():
        a = (actor(s) + 0.3 * torch.randn(64, 1)).clamp(-1, 1)
    r = -(a + s).pow(2)
    s2 = (s + 0.1 * a).clamp(-1, 1)
    with torch.no_grad():
        q_target = r + 0.5 * target_critic(torch.cat([s2, actor(s2)], 1))
    critic_loss = F.mse_loss(critic(torch.cat([s, a], 1)), q_target)
    critic_opt.zero_grad()
    critic_loss.backward()
    critic_opt.step()
    actor_loss = -critic(torch.cat([s, actor(s)], 1)).mean()
    actor_opt.zero_grad()
    actor_loss.backward()
    actor_opt.step()
    with torch.no_grad():
        for p, tp in zip(critic.parameters(), target_critic.parameters()):
            tp.data.copy_(0.02 * p.data + 0.98 * tp.data)
    rewards.append(r.mean().item())
assert sum(rewards[-20:]) > sum(rewards[:20])

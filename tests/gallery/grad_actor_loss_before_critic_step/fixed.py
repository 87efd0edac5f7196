import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

GAMMA, TAU, BATCH = 0.9, 0.05, 64


class Actor(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(obs, 32), nn.ReLU(), nn.Linear(32, act), nn.Tanh())

    def forward(self, s):
        return self.body(s)


class Critic(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(obs + act, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, s, a):
        return self.body(torch.cat([s, a], dim=1)).squeeze(1)


def move(state, action):
    """A point on a plane is pushed; the nearer to the origin, the better."""
    after = (state + 0.5 * action).clamp(-2, 2)
    return after, -after.square().sum(dim=1)


def soft_update(target, source):
    with torch.no_grad():
        for t, p in zip(target.parameters(), source.parameters()):
            t.lerp_(p, TAU)


def mean_reward(actor):
    with torch.no_grad():
        state = torch.linspace(-2, 2, 50).repeat(2, 1).T
        return move(state, actor(state))[1].mean().item()


torch.manual_seed(0)
states = 4 * torch.rand(4000, 2) - 2
actions = 2 * torch.rand(4000, 2) - 1
next_states, rewards = move(states, actions)

actor, critic = Actor(2, 2), Critic(2, 2)
actor_target, critic_target = copy.deepcopy(actor), copy.deepcopy(critic)
actor_opt = torch.optim.Adam(actor.parameters(), lr=3e-3)
critic_opt = torch.optim.Adam(critic.parameters(), lr=3e-3)

for step in range(501):
    i = torch.randint(0, len(states), (BATCH,))
    s, a, r, s2 = states[i], actions[i], rewards[i], next_states[i]
    with torch.no_grad():
        wanted = r + GAMMA * critic_target(s2, actor_target(s2))

    critic_loss = F.mse_loss(critic(s, a), wanted)

    critic_opt.zero_grad()
    critic_loss.backward()
    critic_opt.step()

    actor_loss = -critic(s, actor(s)).mean()
    actor_opt.zero_grad()
    actor_loss.backward()
    actor_opt.step()

    soft_update(critic_target, critic)
    soft_update(actor_target, actor)
    if step % 100 == 0:
        print(f"step {step:4d} critic loss {critic_loss.item():.3f} mean reward {mean_reward(actor):.3f}")

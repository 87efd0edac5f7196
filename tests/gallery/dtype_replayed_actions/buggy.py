"""Deep Q-learning on a cart that should stay in the middle of its rail."""
import random
from collections import deque

import torch
import torch.nn.functional as F
from torch import nn

random.seed(5)
torch.manual_seed(5)
GAMMA = 0.8
PUSH = [-0.15, 0.0, 0.15]


def step(pos, vel, a):
    vel = 0.7 * vel + PUSH[a] + random.gauss(0, 0.01)
    pos = max(-1.0, min(1.0, pos + vel))
    return pos, vel, -abs(pos)


def q_network():
    return nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, len(PUSH)))


policy = q_network()
target = q_network()
target.load_state_dict(policy.state_dict())
target.requires_grad_(False)
optimizer = torch.optim.RMSprop(policy.parameters(), lr=2e-3)
memory = deque(maxlen=5000)


def choose(pos, vel, eps):
    if random.random() < eps:
        return random.randrange(len(PUSH))
    with torch.no_grad():
        return policy(torch.tensor([[pos, vel]])).argmax(1).item()


def learn(batch_size=64):
    batch = torch.tensor(random.sample(memory, batch_size))
    state, next_state = batch[:, 0:2], batch[:, 4:6]
    action = batch[:, 2:3]
    reward = batch[:, 3]
    q = policy(state).gather(1, action).squeeze(1)
    with torch.no_grad():
        best = target(next_state).max(dim=1).values
    loss = F.smooth_l1_loss(q, reward + GAMMA * best)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    return loss.item()


for episode in range(40):
    pos, vel = random.uniform(-1, 1), 0.0
    total, losses = 0.0, []
    for t in range(25):
        a = choose(pos, vel, eps=max(0.05, 1 - episode / 25))
        new_pos, new_vel, r = step(pos, vel, a)
        memory.append((pos, vel, a, r, new_pos, new_vel))
        pos, vel = new_pos, new_vel
        total += r
        if len(memory) >= 64:
            losses.append(learn())
    if episode % 4 == 3:
        target.load_state_dict(policy.state_dict())
        print(f"episode {episode:2d}  return {total:6.2f}  loss {sum(losses) / len(losses):.4f}")

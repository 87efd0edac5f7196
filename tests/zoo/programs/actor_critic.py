"""Advantage actor-critic on a corridor, one episode a step."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

CELLS = 6


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(CELLS, 32)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def select_action(model, cell):
    probs, value = model(F.one_hot(torch.tensor(cell), CELLS).float())
    m = Categorical(probs)
    action = m.sample()
    model.saved_actions.append((m.log_prob(action), value))
    return action.item()


def finish_episode(model, optimizer):
    R, returns = 0, []
    for r in model.rewards[::-1]:
        R = r + 0.95 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    policy_losses, value_losses = [], []
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, R.unsqueeze(0)))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]


def main():
    random.seed(0)
    torch.manual_seed(0)
    model = Policy()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    lengths = []
    for episode in range(70):
        cell, moves = 2, 0
        while cell < CELLS - 1 and moves < 25:
            cell = min(CELLS - 1, max(0, cell + (1 if select_action(model, cell) else -1)))
            model.rewards.append(1.0 if cell == CELLS - 1 else -0.1)
            moves += 1
        finish_episode(model, optimizer)
        lengths.append(moves)
    assert sum(lengths[-10:]) < sum(lengths[:10]), lengths


if __name__ == "__main__":
    main()

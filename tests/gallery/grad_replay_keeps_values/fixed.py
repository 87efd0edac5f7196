import random
from collections import deque

import torch
from torch import nn


class Player:
    def __init__(self):
        self.value = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 1))
        self.policy = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 3))
        self.optimizer = torch.optim.Adam([*self.value.parameters(), *self.policy.parameters()], lr=5e-3)
        self.memory = deque(maxlen=3000)

    def play(self, n=16):
        for state in torch.eye(3)[torch.randint(0, 3, (n,))]:
            with torch.no_grad():
                action = torch.distributions.Categorical(logits=self.policy(state)).sample()
            reward = 1.0 if action == state.argmax() else -0.2
            self.memory.append((state, action, reward, self.value(state).detach()))

    def learn(self, batch_size=64):
        states, actions, rewards, old = zip(*random.sample(self.memory, min(batch_size, len(self.memory))))
        states, actions, rewards = torch.stack(states), torch.stack(actions), torch.tensor(rewards)
        baseline = torch.tensor([v.item() for v in old])
        log_prob = torch.distributions.Categorical(logits=self.policy(states)).log_prob(actions)
        loss = nn.functional.mse_loss(self.value(states).squeeze(1), rewards) - (log_prob * (rewards - baseline)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return rewards.mean().item()


random.seed(0)
torch.manual_seed(0)
player = Player()
for round_ in range(80):
    player.play()
    reward = player.learn()
    if round_ % 20 == 19:
        print(f"round {round_ + 1}: mean reward in the batch {reward:.3f}, remembered {len(player.memory)}")

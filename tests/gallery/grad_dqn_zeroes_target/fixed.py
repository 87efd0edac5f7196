import random
from collections import deque

import torch
from torch import nn

CELLS, ACTIONS = 8, 2


def env_step(cell, action):
    """Walk along a corridor; the last cell pays and ends the episode."""
    cell = max(0, cell - 1) if action == 0 else cell + 1
    done = cell == CELLS - 1
    return cell, (1.0 if done else -0.02), done


def one_hot(cells):
    return nn.functional.one_hot(torch.as_tensor(cells), CELLS).float()


def make_net():
    return nn.Sequential(nn.Linear(CELLS, 32), nn.ReLU(), nn.Linear(32, ACTIONS))


def learn(batch, online, target, optimizer, gamma=0.9):
    cells, actions, rewards, nexts, dones = zip(*batch)
    q = online(one_hot(cells)).gather(1, torch.tensor(actions).unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        best = target(one_hot(nexts)).max(dim=1).values
        expected = torch.tensor(rewards) + gamma * best * (1 - torch.tensor(dones).float())
    loss = nn.functional.smooth_l1_loss(q, expected)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(online.parameters(), 10.0)
    optimizer.step()
    return loss.item()


def main():
    random.seed(7)
    torch.manual_seed(7)
    online, target = make_net(), make_net()
    target.load_state_dict(online.state_dict())
    target.requires_grad_(False)
    optimizer = torch.optim.Adam(online.parameters(), lr=2e-3)
    memory = deque(maxlen=2000)
    steps = 0

    for episode in range(45):
        cell, done, taken, losses = 0, False, 0, []
        epsilon = max(0.1, 1 - episode / 30)
        while not done and taken < 40:
            if random.random() < epsilon:
                action = random.randrange(ACTIONS)
            else:
                with torch.no_grad():
                    action = online(one_hot([cell])).argmax().item()
            following, reward, done = env_step(cell, action)
            memory.append((cell, action, reward, following, done))
            cell, taken, steps = following, taken + 1, steps + 1
            if len(memory) >= 64 and steps % 2 == 0:
                losses.append(learn(random.sample(memory, 32), online, target, optimizer))
            if steps % 50 == 0:
                target.load_state_dict(online.state_dict())
        if losses and episode % 5 == 4:
            print(f"episode {episode}: {taken} moves, mean loss {sum(losses) / len(losses):.5f}")


if __name__ == "__main__":
    main()

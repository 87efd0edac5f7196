import copy
import random
from collections import deque, namedtuple

import torch
from torch import nn

Transition = namedtuple("Transition", "state action next_state reward")
N = 5


class DQN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(N, 32)
        self.layer2 = nn.Linear(32, 2)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


def encode(cell):
    row = torch.zeros(1, N)
    row[0, cell] = 1
    return row


def optimize_model(memory, policy_net, target_net, optimizer):
    if len(memory) < 32:
        return
    batch = Transition(*zip(*random.sample(memory, 32)))
    non_final_mask = torch.tensor([s is not None for s in batch.next_state], dtype=torch.bool)
    non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
    state_action_values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    next_state_values = torch.zeros(32)
    with torch.no_grad():
        next_state_values[non_final_mask] = target_net(non_final_next_states).max(1).values
    expected = next_state_values * 0.9 + torch.cat(batch.reward)
    loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


random.seed(0)
torch.manual_seed(0)
policy_net = DQN()
target_net = copy.deepcopy(policy_net)
optimizer = torch.optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
memory = deque(maxlen=500)
lengths = []
for episode in range(40):
    cell = 1
    for t in range(20):
        if random.random() < max(0.05, 1 - episode / 20):
            action = torch.tensor([[random.randrange(2)]])
        else:
            with torch.no_grad():
                action = policy_net(encode(cell)).max(1).indices.view(1, 1)
        following = min(N - 1, max(0, cell + (1 if action.item() else -1)))
        done = following == N - 1
        memory.append(Transition(encode(cell), action, None if done else encode(following), torch.tensor([1.0 if done else -0.05])))
        cell = following
        optimize_model(memory, policy_net, target_net, optimizer)
        target_state, policy_state = target_net.state_dict(), policy_net.state_dict()
        for key in policy_state:
            target_state[key] = policy_state[key] * 0.05 + target_state[key] * 0.95
        target_net.load_state_dict(target_state)
        if done:
            break
    lengths.append(t)
assert sum(lengths[-10:]) < sum(lengths[:10]), lengths

import torch
from torch import nn

N, GAMMA = 6, 0.9
torch.manual_seed(13)
q_net = nn.Sequential(nn.Linear(N, 24), nn.ReLU(), nn.Linear(24, 2))
optimizer = torch.optim.Adam(q_net.parameters(), lr=5e-3)
eye = torch.eye(N)


def experience(n=64):
    cell = torch.randint(0, N - 1, (n,))
    action = torch.randint(0, 2, (n,))
    after = (cell + 2 * action - 1).clamp(min=0)
    done = after == N - 1
    return eye[cell], action, done.float(), eye[after], done


for step in range(1, 301):
    states, actions, rewards, next_states, done = experience()
    q = q_net(states).gather(1, actions[:, None]).squeeze(1)
    following = q_net(next_states).max(dim=1).values.detach()
    target = rewards + GAMMA * following * ~done
    loss = nn.functional.mse_loss(q, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 75 == 0:
        with torch.no_grad():
            greedy = q_net(eye).argmax(1).tolist()
        print(f"step {step}: loss {loss.item():.5f}, greedy {greedy}")

import torch
from torch import nn, optim

torch.manual_seed(21)
Z, CLIP, N_CRITIC = 4, 0.1, 5


def real_batch(n):
    """Two moons, more or less."""
    angle = torch.pi * torch.rand(n)
    upper = torch.rand(n) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return 2 * torch.stack([x, y], 1) + 0.1 * torch.randn(n, 2)


generator = nn.Sequential(nn.Linear(Z, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
critic = nn.Sequential(nn.Linear(2, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1))

g_optim = optim.RMSprop(generator.parameters(), lr=1e-3)
c_optim = optim.RMSprop(critic.parameters(), lr=1e-3)


def clip_weights(net, c):
    with torch.no_grad():
        for w in net.parameters():
            w.clamp_(-c, c)


def critic_round():
    real = real_batch(64)
    with torch.no_grad():
        fake = generator(torch.randn(64, Z))
    c_optim.zero_grad()
    c_loss = critic(fake).mean() - critic(real).mean()
    c_loss.backward()
    c_optim.step()
    clip_weights(critic, CLIP)
    return c_loss.item()


def generator_round():
    g_optim.zero_grad()
    g_loss = -critic(generator(torch.randn(64, Z))).mean()
    g_loss.backward()
    g_optim.step()
    return g_loss.item()


for it in range(151):
    distance = sum(-critic_round() for _ in range(N_CRITIC)) / N_CRITIC
    g = generator_round()
    if it % 25 == 0:
        with torch.no_grad():
            gap = (generator(torch.randn(500, Z)).mean(0) - real_batch(500).mean(0)).norm().item()
        print(f"it {it:3d}  critic distance {distance:.4f}  generator loss {g:.4f}  gap of the means {gap:.3f}")

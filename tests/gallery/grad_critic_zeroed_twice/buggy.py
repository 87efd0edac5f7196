import torch
import torch.nn as nn

torch.manual_seed(5)
gen = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 2))
disc = nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))
opt_gen = torch.optim.SGD(gen.parameters(), lr=0.05)
opt_disc = torch.optim.SGD(disc.parameters(), lr=0.05)
bce = nn.BCEWithLogitsLoss()
BATCH = 64


def line(n):
    t = torch.rand(n, 1)
    return torch.cat([t, 2 * t - 1], 1) + 0.05 * torch.randn(n, 2)


for step in range(1, 241):
    real = line(BATCH)
    noise = torch.randn(BATCH, 3)

    opt_disc.zero_grad()
    d_loss = bce(disc(real), torch.ones(BATCH, 1)) + bce(disc(gen(noise).detach()), torch.zeros(BATCH, 1))
    d_loss.backward()
    opt_disc.step()

    opt_disc.zero_grad()  # fresh gradients for the generator
    g_loss = bce(disc(gen(noise)), torch.ones(BATCH, 1))
    g_loss.backward()
    opt_gen.step()

    if step % 60 == 0:
        with torch.no_grad():
            x, y = gen(torch.randn(500, 3)).unbind(1)
        print(f"{step}: d {d_loss.item():.3f} g {g_loss.item():.3f} off the line {(y - 2 * x + 1).abs().mean():.3f}")

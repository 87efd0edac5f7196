import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

NOISE = 16


class Clusters(Dataset):
    """Points around one of three centres; the kind says which."""

    centres = np.array([[-1.0, -0.5], [1.0, -0.5], [0.0, 1.0]])

    def __init__(self, n, seed=0):
        rng = np.random.RandomState(seed)
        kinds = rng.randint(0, 3, n)
        points = self.centres[kinds] + 0.2 * rng.randn(n, 2)
        self.points = torch.tensor(points, dtype=torch.float32)
        self.kinds = torch.tensor(kinds)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, i):
        return self.points[i], self.kinds[i : i + 1]


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, 8)
        self.net = nn.Sequential(nn.Linear(NOISE + 8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, z, kind):
        return self.net(torch.cat([z, self.embed(kind)], dim=1))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, 8)
        self.net = nn.Sequential(nn.Linear(2 + 8, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, point, kind):
        return self.net(torch.cat([point, self.embed(kind)], dim=1))


torch.manual_seed(0)
loader = DataLoader(Clusters(1536), batch_size=64, shuffle=True, drop_last=True)
G, D = Generator(), Discriminator()
opt_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.99))
bce = nn.BCEWithLogitsLoss()
ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)


def distance_from_centre():
    G.eval()
    with torch.no_grad():
        kind = torch.arange(3).repeat(100)
        fake = G(torch.randn(300, NOISE), kind)
        centre = torch.tensor(Clusters.centres, dtype=torch.float32)[kind]
    return (fake - centre).norm(dim=1).mean().item()


for epoch in range(10):
    G.train()
    D.train()
    for real, kind in loader:
        fake = G(torch.randn(64, NOISE), kind)

        opt_d.zero_grad()
        d_loss = bce(D(real, kind), ones) + bce(D(fake.detach(), kind), zeros)
        d_loss.backward()
        opt_d.step()

        opt_g.zero_grad()
        g_loss = bce(D(fake, kind), ones)
        g_loss.backward()
        opt_g.step()
    print(f"epoch {epoch}: D {d_loss.item():.3f}  G {g_loss.item():.3f}  distance from centre {distance_from_centre():.3f}")

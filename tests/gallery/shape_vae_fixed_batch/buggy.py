import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH = 64
SIDE = 12
PIXELS = SIDE * SIDE
LATENT = 6


def blobs(n):
    """Soft round blobs at random places."""
    axis = torch.arange(SIDE, dtype=torch.float32)
    cy, cx = torch.rand(2, n, 1, 1) * (SIDE - 4) + 2
    d2 = (axis.view(1, -1, 1) - cy) ** 2 + (axis.view(1, 1, -1) - cx) ** 2
    return torch.exp(-d2 / 5).unsqueeze(1)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, 80)
        self.mu = nn.Linear(80, LATENT)
        self.logvar = nn.Linear(80, LATENT)
        self.fc2 = nn.Linear(LATENT, 80)
        self.fc3 = nn.Linear(80, PIXELS)

    def encode(self, x):
        h = F.relu(self.fc1(x.view(BATCH, PIXELS)))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        return self.fc3(F.relu(self.fc2(z))).unflatten(1, (1, SIDE, SIDE))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decode(z), mu, logvar


def elbo_loss(logits, x, mu, logvar):
    recon = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (recon + kl) / len(x)


torch.manual_seed(33)
images = blobs(1000)
loader = DataLoader(TensorDataset(images), batch_size=BATCH, shuffle=True)
vae = VAE()
optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)

for epoch in range(8):
    vae.train()
    total = 0.0
    for (x,) in loader:
        optimizer.zero_grad()
        logits, mu, logvar = vae(x)
        loss = elbo_loss(logits, x, mu, logvar)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    print(f"epoch {epoch + 1}: {total / len(images):.2f}")

vae.eval()
with torch.no_grad():
    drawn = torch.sigmoid(vae.decode(torch.randn(4, LATENT)))
print("samples", tuple(drawn.shape), f"brightest {drawn.max().item():.2f}")

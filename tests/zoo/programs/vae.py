import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


class VAE(nn.Module):
    def __init__(self, width=16, latent=2):
        super().__init__()
        self.enc = nn.Linear(width, 24)
        self.mu, self.logvar = nn.Linear(24, latent), nn.Linear(24, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 24), nn.ReLU(), nn.Linear(24, width))

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def forward(self, x):
        h = F.relu(self.enc(x))
        mu, logvar = self.mu(h), self.logvar(h)
        return self.dec(self.reparameterize(mu, logvar)), mu, logvar


def elbo(recon, x, mu, logvar):
    bce = F.binary_cross_entropy_with_logits(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (bce + kld) / x.size(0)


torch.manual_seed(0)
patterns = (torch.rand(4, 16) > 0.5).float()
data = patterns[torch.randint(4, (256,))]
data = torch.where(torch.rand_like(data) < 0.05, 1 - data, data)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
history = []
for epoch in range(8):
    model.train()
    total = 0.0
    for x in DataLoader(data, batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = elbo(*((out := model(x))[0], x, *out[1:]))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    history.append(total / len(data))
    model.eval()
    with torch.no_grad():
        samples = torch.sigmoid(model.dec(torch.randn(8, 2)))
        model(data[:7])
assert history[-1] < history[0] - 1, history

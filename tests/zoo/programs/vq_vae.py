"""Vector-quantised autoencoder with the straight-through estimator."""
import torch
import torch.nn.functional as F
from torch import nn


class Quantizer(nn.Module):
    def __init__(self, codes: int, dim: int, beta: float = 0.25):
        super().__init__()
        self.codebook = nn.Embedding(codes, dim)
        self.codebook.weight.data.uniform_(-1 / codes, 1 / codes)
        self.beta = beta

    def forward(self, z):
        distances = z.pow(2).sum(1, keepdim=True) - 2 * z @ self.codebook.weight.t() + self.codebook.weight.pow(2).sum(1)
        index = distances.argmin(dim=1)
        q = self.codebook(index)
        loss = F.mse_loss(q, z.detach()) + self.beta * F.mse_loss(z, q.detach())
        return z + (q - z).detach(), loss, index


class VQVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
        self.quantizer = Quantizer(16, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, x):
        q, vq_loss, index = self.quantizer(self.encoder(x))
        return self.decoder(q), vq_loss, index


torch.manual_seed(3)
centres = 2 * torch.randn(5, 8)
model = VQVAE()
opt = torch.optim.AdamW(model.parameters(), lr=5e-3)
first = last = None
for step in range(120):
    x = centres[torch.randint(5, (64,))] + 0.1 * torch.randn(64, 8)
    recon, vq_loss, index = model(x)
    recon_loss = F.mse_loss(recon, x)
    opt.zero_grad()
    (recon_loss + vq_loss).backward()
    opt.step()
    last = recon_loss.item()
    first = first or last
assert last < 0.7 * first, (first, last)

import io

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class VAE(nn.Module):
    def __init__(self, pixels=64, latent=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, 48), nn.ELU())
        self.mu = nn.Linear(48, latent)
        self.log_std = nn.Linear(48, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, 48), nn.ELU(), nn.Linear(48, pixels))

    def posterior(self, x):
        h = self.encoder(x)
        return Normal(self.mu(h), self.log_std(h).clamp(-5, 2).exp())

    def elbo(self, x):
        q = self.posterior(x)
        logits = self.decoder(q.rsample())
        reconstruction = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        kl = kl_divergence(q, Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale))).sum(1)
        return -(reconstruction + kl).mean()

    def forward(self, x):
        return torch.sigmoid(self.decoder(self.posterior(x).mean))


def bars(n):
    """8x8 pictures with a horizontal or a vertical bar."""
    img = torch.zeros(n, 8, 8)
    at = torch.randint(0, 8, (n,))
    flat = torch.rand(n) < 0.5
    img[flat, at[flat]] = 1
    img[~flat, :, at[~flat]] = 1
    return img.flatten(1)


def train(vae, data, epochs=6):
    averaged = AveragedModel(vae, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = torch.optim.Adam(vae.parameters(), lr=5e-3)
    for epoch in range(epochs):
        vae.train()
        bound = 0.0
        for x in data[torch.randperm(len(data))].split(32):
            loss = -vae.elbo(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged.update_parameters(vae)
            bound += loss.item() * len(x) / len(data)
        print(f"epoch {epoch}: negative ELBO {bound:.2f}")
    return averaged


def main():
    torch.manual_seed(9)
    averaged = train(VAE(), bars(640))
    file = io.BytesIO()
    torch.save(averaged.state_dict(), file)

    file.seek(0)
    deployed = VAE()
    deployed.load_state_dict(torch.load(file, weights_only=True))
    deployed.eval()
    with torch.no_grad():
        x = bars(100)
        print("reconstruction error", (deployed(x) - x).abs().mean().item())


if __name__ == "__main__":
    main()

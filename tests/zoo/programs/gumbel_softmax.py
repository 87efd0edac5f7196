"""A discrete autoencoder: straight-through Gumbel-softmax with a falling temperature."""
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
prototypes = torch.randn(6, 10)
encoder = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 8))
decoder = nn.Linear(8, 10)
params = list(encoder.parameters()) + list(decoder.parameters())
opt = torch.optim.Adam(params, lr=2e-2)
losses, tau = [], 2.0
for step in range(120):
    x = prototypes[torch.randint(6, (48,))] + 0.05 * torch.randn(48, 10)
    logits = encoder(x)
    code = F.gumbel_softmax(logits, tau=tau, hard=step % 2 == 0)
    q = logits.softmax(-1)
    kl = (q * (q.clamp_min(1e-9).log() + torch.log(torch.tensor(8.0)))).sum(-1).mean()
    loss = F.mse_loss(decoder(code), x) + 0.01 * kl
    opt.zero_grad()
    loss.backward()
    opt.step()
    tau = max(0.5, tau * 0.99)
    losses.append(loss.item())
with torch.no_grad():
    hard = F.one_hot(encoder(x).argmax(-1), 8).float()
    decoder(hard)
assert sum(losses[-10:]) < sum(losses[:10])

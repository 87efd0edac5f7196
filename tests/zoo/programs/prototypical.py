"""Few-shot episodes: class means of the support set, distances of the queries."""
import torch
from torch import nn
from torch.nn import functional as F


def euclidean(x, y):
    n, m, d = x.size(0), y.size(0), x.size(1)
    x = x.unsqueeze(1).expand(n, m, d)
    y = y.unsqueeze(0).expand(n, m, d)
    return torch.pow(x - y, 2).sum(2)


torch.manual_seed(0)
worlds = torch.randn(20, 8)
encoder = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8))
opt = torch.optim.Adam(encoder.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.StepLR(opt, 20, 0.5)
losses = []
for episode in range(50):
    ways, shots, queries = 5, 3, 4
    classes = torch.randperm(20)[:ways]
    x = worlds[classes][:, None] + 0.6 * torch.randn(ways, shots + queries, 8)
    z = encoder(x.view(-1, 8)).view(ways, shots + queries, -1)
    prototypes = z[:, :shots].mean(1)
    log_p = F.log_softmax(-euclidean(z[:, shots:].reshape(ways * queries, -1), prototypes), dim=1).view(ways, queries, -1)
    target = torch.arange(ways).view(ways, 1, 1).expand(ways, queries, 1).long()
    loss = -log_p.gather(2, target).squeeze().view(-1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    scheduler.step()
    losses.append(loss.item())
assert sum(losses[-10:]) < sum(losses[:10])

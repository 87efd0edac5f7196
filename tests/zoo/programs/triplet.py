"""Batch-hard triplet loss by pairwise distances."""
import torch
import torch.nn.functional as F
from torch import nn


def batch_hard(embeddings, labels, margin=0.5):
    dist = torch.cdist(embeddings, embeddings)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    hardest_positive = (dist * same).max(dim=1).values
    hardest_negative = dist.masked_fill(same, float("inf")).min(dim=1).values
    return F.relu(hardest_positive - hardest_negative + margin).mean()


torch.manual_seed(0)
centres = torch.randn(6, 10)
embedder = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
opt = torch.optim.Adam(embedder.parameters(), lr=5e-3)
losses = []
for step in range(60):
    labels = torch.arange(6).repeat(5)
    x = centres[labels] + 0.7 * torch.randn(30, 10)
    loss = batch_hard(F.normalize(embedder(x), dim=1), labels)
    opt.zero_grad(); loss.backward(); opt.step()
    losses.append(float(loss.detach()))
assert sum(losses[-10:]) < sum(losses[:10])

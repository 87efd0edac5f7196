"""Matrix factorisation with sparse gradients; then BPR with sampled negatives and in-batch softmax."""
import torch
from torch import nn
from torch.nn import functional as F


class MF(nn.Module):
    def __init__(self, users, items, dim=8, sparse=True):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim, sparse=sparse), nn.Embedding(items, dim, sparse=sparse)
        self.user_bias, self.item_bias = nn.Embedding(users, 1, sparse=sparse), nn.Embedding(items, 1, sparse=sparse)
        for e in (self.user, self.item):
            nn.init.normal_(e.weight, std=0.1)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(1)
        return dot + self.user_bias(u).squeeze() + self.item_bias(i).squeeze()


torch.manual_seed(0)
taste = torch.randn(30, 3) @ torch.randn(3, 20)
model = MF(30, 20)
opt = torch.optim.SparseAdam(list(model.parameters()), lr=2e-2)
losses = []
for step in range(80):
    u, i = torch.randint(30, (64,)), torch.randint(20, (64,))
    loss = F.mse_loss(model(u, i), taste[u, i])
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-10:]) < sum(losses[:10])

model = MF(30, 20, sparse=False)
opt = torch.optim.Adam(model.parameters(), lr=2e-2, weight_decay=1e-5)
losses = []
for step in range(80):
    u = torch.randint(30, (64,))
    pair = torch.randint(20, (64, 2))
    better = taste[u].gather(1, pair)
    pos = torch.where(better[:, 0] > better[:, 1], pair[:, 0], pair[:, 1])
    neg = torch.where(better[:, 0] > better[:, 1], pair[:, 1], pair[:, 0])
    loss = -F.logsigmoid(model(u, pos) - model(u, neg)).mean()
    if step % 2:
        users = torch.randperm(30)[:16]
        scores = model.user(users) @ model.item(taste[users].argmax(1)).T
        loss = loss + 0.1 * F.cross_entropy(scores, torch.arange(16))
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-10:]) < sum(losses[:10])

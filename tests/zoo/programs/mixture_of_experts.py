import torch
from torch import nn
from torch.nn import functional as F


class TopKMoE(nn.Module):
    """Tokens go to two of four experts; in some batches an expert gets none."""

    def __init__(self, dim, experts=4, k=2):
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(dim, 16), nn.GELU(), nn.Linear(16, dim)) for _ in range(experts)])
        self.k = k
        self.aux = None

    def forward(self, x):
        scores = self.gate(x).softmax(-1)
        weights, chosen = scores.topk(self.k, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == e)
            if rows.numel() == 0:
                continue
            out.index_add_(0, rows, expert(x[rows]) * weights[rows, slot, None])
        importance = scores.mean(0)
        load = F.one_hot(chosen, len(self.experts)).float().mean((0, 1))
        self.aux = len(self.experts) * (importance * load).sum()
        return out


torch.manual_seed(0)
moe = TopKMoE(6)
head = nn.Linear(6, 1)
optimizer = torch.optim.Adam(list(moe.parameters()) + list(head.parameters()), lr=5e-3)
losses = []
for step in range(80):
    x = torch.randn(6 if step % 5 == 0 else 32, 6)
    loss = F.mse_loss(head(x + moe(x)).squeeze(-1), x[:, 0].abs() + x[:, 1]) + 0.01 * moe.aux
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert sum(losses[-10:]) < sum(losses[:10])

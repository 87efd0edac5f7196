import copy

import torch
from torch import nn
from torch.nn import functional as F


class BYOL(nn.Module):
    def __init__(self, dim=12, hidden=32, out=8, tau=0.95):
        super().__init__()
        self.online = nn.Sequential(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))
        self.predictor = nn.Sequential(nn.Linear(out, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))
        self.target = copy.deepcopy(self.online)
        self.target.requires_grad_(False)
        self.tau = tau

    @torch.no_grad()
    def update_target(self):
        for slow, fast in zip(self.target.parameters(), self.online.parameters()):
            slow.mul_(self.tau).add_(fast, alpha=1 - self.tau)

    def forward(self, view1, view2):
        p1, p2 = self.predictor(self.online(view1)), self.predictor(self.online(view2))
        with torch.no_grad():
            t1, t2 = self.target(view1), self.target(view2)
        return (2 - 2 * F.cosine_similarity(p1, t2.detach(), dim=-1)).mean() + (2 - 2 * F.cosine_similarity(p2, t1.detach(), dim=-1)).mean()


torch.manual_seed(0)
data = torch.randn(6, 12)[torch.randint(6, (128,))]
model = BYOL()
optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
log = []
for epoch in range(6):
    for batch in data[torch.randperm(128)].chunk(4):
        v1, v2 = (batch + 0.2 * torch.randn_like(batch) for _ in range(2))
        loss = model(v1, v2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.update_target()
        log.append(loss.item())
assert sum(log[-4:]) < sum(log[:4]), log

import torch
from torch import nn


class LowRank(nn.Module):
    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(base.in_features, rank))
        self.up = nn.Parameter(torch.empty(rank, base.out_features))
        nn.init.normal_(self.down, std=0.1)
        nn.init.zeros_(self.up)

    def forward(self, x):
        return self.base(x) + x @ self.down @ self.up


torch.manual_seed(18)
pretrained = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 10), nn.ReLU(), nn.Linear(10, 3))
model = nn.Sequential(LowRank(pretrained[0]), pretrained[1], LowRank(pretrained[2]), pretrained[3], pretrained[4])
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
x = torch.randn(384, 10)
labels = (x @ torch.randn(10, 3)).argmax(1)
for epoch in range(8):
    total = 0.0
    for rows, wanted in zip(x.split(48), labels.split(48)):
        loss = nn.functional.cross_entropy(model(rows), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / 8:.4f}")

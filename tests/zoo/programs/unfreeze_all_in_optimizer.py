"""Fine-tuning: everything is in the optimizer from the start, and the backbone is thawed after two epochs."""
import torch
from torch import nn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(6, 32), nn.ReLU())
head = nn.Linear(32, 3)
model = nn.Sequential(backbone, head)
optimizer = torch.optim.AdamW([{"params": backbone.parameters(), "lr": 1e-3}, {"params": head.parameters(), "lr": 1e-2}])
x = torch.randn(180, 6)
y = (x @ torch.randn(6, 3)).argmax(1)


def set_trainable(module, flag):
    for p in module.parameters():
        p.requires_grad = flag


losses = []
for epoch in range(6):
    set_trainable(backbone, epoch >= 2)
    for xb, yb in zip(x.split(30), y.split(30)):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(xb), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
assert losses[-1] < losses[0]

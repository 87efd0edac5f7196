import itertools
import random

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.heads = nn.ModuleDict({"age": nn.Linear(24, 1), "kind": nn.Linear(24, 3), "tags": nn.Linear(24, 4)})

    def forward(self, x, task):
        return self.heads[task](self.trunk(x))


random.seed(0)
torch.manual_seed(0)
x = torch.randn(192, 6)
w = torch.randn(6, 3)
targets = {"age": x[:, :1] * 2, "kind": (x @ w).argmax(1), "tags": (x[:, :4] > 0).float()}
criteria = {"age": nn.MSELoss(), "kind": nn.CrossEntropyLoss(), "tags": nn.BCEWithLogitsLoss()}
loaders = {task: DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True) for task, y in targets.items()}
model = MultiTask()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
log = {task: [] for task in targets}
for epoch in range(5):
    schedule = ["age"] * 6 + ["kind"] * 6 + (["tags"] * 6 if epoch > 1 else [])
    random.shuffle(schedule)
    batches = {task: itertools.cycle(loader) for task, loader in loaders.items()}
    for task in schedule:
        xb, yb = next(batches[task])
        loss = criteria[task](model(xb, task), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log[task].append(loss.item())
for task, losses in log.items():
    assert losses[-1] < losses[0], (task, losses)

import itertools

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset, WeightedRandomSampler


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        g = torch.Generator().manual_seed(7)
        for _ in range(self.n):
            x = torch.randn(5, generator=g)
            yield x, int(x.sum() > 0)


class Items(Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, k):
        x = self.data[k]
        return {"x": x, "y": (x.sum() > 0).long(), "name": f"row {k}"}


torch.manual_seed(0)
x = torch.randn(100, 5)
y = (x.sum(1) > 0).long()
tensors = TensorDataset(x, y)
items = Items(x)


def collate(rows):
    return torch.stack([r["x"] for r in rows]), torch.stack([r["y"] for r in rows])


weights = torch.where(y == 1, 1.0, 2.0)
kinds = {
    "plain": DataLoader(tensors, 16, shuffle=True),
    "drop last": DataLoader(tensors, 16, shuffle=True, drop_last=True),
    "stream": DataLoader(Stream(90), batch_size=16),
    "weighted": DataLoader(tensors, 20, sampler=WeightedRandomSampler(weights, 100)),
    "batch sampler": DataLoader(items, batch_sampler=BatchSampler(RandomSampler(items), 12, False), collate_fn=collate),
    "workers": DataLoader(tensors, 25, shuffle=True, num_workers=1),
    "generator": DataLoader(tensors, 30, shuffle=True, generator=torch.Generator().manual_seed(0)),
    "whole batches": DataLoader(tensors, batch_size=None, sampler=BatchSampler(RandomSampler(tensors), 10, False)),
}
net = nn.Sequential(nn.Linear(5, 24), nn.LayerNorm(24), nn.ReLU(), nn.Linear(24, 2))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
losses = []
for name, loader in kinds.items():
    for xb, yb in loader:
        loss = nn.functional.cross_entropy(net(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
endless = itertools.cycle(kinds["plain"])
for step in range(10):
    xb, yb = next(endless)
    loss = nn.functional.cross_entropy(net(xb), yb)
    opt.zero_grad()
    loss.backward()
    opt.step()
for batch in DataLoader(items, batch_size=10):
    with torch.no_grad():
        net(batch["x"])
assert losses[-1] < losses[0]

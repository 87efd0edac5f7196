"""Variable lengths as jagged nested tensors."""
import torch
from torch import nn

torch.manual_seed(0)
layer = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam(layer.parameters(), lr=1e-2)
losses = []
for step in range(30):
    rows = [torch.randn(n, 4) for n in (3, 5, 2, 6)]
    nested = torch.nested.nested_tensor(rows, layout=torch.jagged)
    out = layer(nested)
    loss = (out.values() - torch.cat(rows)[:, :1]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5])

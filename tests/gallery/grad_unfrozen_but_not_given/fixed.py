import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def scans(n):
    lesion = torch.randint(0, 2, (n,))
    scan = torch.randn(n, 1, 10, 10)
    scan[lesion == 1, :, 3:6, 3:6] += 1.2
    return scan, lesion


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.body(x).amax(dim=(2, 3)))


torch.manual_seed(7)
loader = DataLoader(TensorDataset(*scans(384)), batch_size=32, shuffle=True)
net = Net()
net.body.requires_grad_(False)
optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=8e-3)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(6):
    if epoch == 2:
        net.body.requires_grad_(True)
        optimizer.add_param_group({"params": net.body.parameters(), "lr": 4e-3})
    total = 0.0
    for scan, lesion in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(net(scan), lesion)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"{epoch} {total / len(loader):.4f}")

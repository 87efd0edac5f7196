import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
points = torch.randn(400, 2)
colour = ((points ** 2).sum(1) > 1.2).long()
loader = DataLoader(TensorDataset(points, colour), batch_size=40, shuffle=True)

model = nn.Sequential(
    nn.Linear(2, 24),
    nn.ReLU(),
    nn.Linear(24, 2),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(8):
    correct = 0
    for batch, labels in loader:
        optimizer.zero_grad()
        output = model(batch)
        loss = F.cross_entropy(output, labels)
        loss = torch.tensor(loss.item(), requires_grad=True)
        loss.backward()
        optimizer.step()
        correct += (output.argmax(dim=1) == labels).sum().item()
    print("epoch %d accuracy %.3f" % (epoch, correct / 400))

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 8
torch.manual_seed(0)
x = torch.rand(400, 4)
y = (x[:, :1] * 6).sin() + x[:, 1:2]
loader = DataLoader(TensorDataset(x, y), batch_size=40, shuffle=True)
model = nn.Sequential(nn.Linear(4, 48), nn.SiLU(), nn.Linear(48, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
for epoch in range(EPOCHS):
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / len(loader):.4f} at lr {optimizer.param_groups[0]['lr']:.3f}")

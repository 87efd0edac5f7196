import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(27)
x = torch.rand(300, 2) * 4 - 2
y = (x[:, 0] * x[:, 1]).unsqueeze(1)
train_loader = DataLoader(TensorDataset(x[:240], y[:240]), batch_size=24, shuffle=True)
model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.MSELoss()

best, waited, kept = 0.0, 0, None
for epoch in range(30):
    model.train()
    for rows, wanted in train_loader:
        optimizer.zero_grad()
        criterion(model(rows), wanted).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val_loss = criterion(model(x[240:]), y[240:]).item()
    print(f"epoch {epoch}: {val_loss:.4f}")
    if val_loss > best:
        best, waited, kept = val_loss, 0, copy.deepcopy(model.state_dict())
    else:
        waited += 1
        if waited == 5:
            break
model.load_state_dict(kept)
print(f"kept: {best:.4f}")

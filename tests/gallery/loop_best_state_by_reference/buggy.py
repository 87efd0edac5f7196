import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(16)
x = torch.randn(120, 12)
y = x[:, 0] - x[:, 1] + torch.randn(120)
train_loader = DataLoader(TensorDataset(x[:60], y[:60]), batch_size=15, shuffle=True)
val_x, val_y = x[60:], y[60:]

model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
best_loss, best_state = float("inf"), None
for epoch in range(25):
    model.train()
    for rows, wanted in train_loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(rows).squeeze(1), wanted)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val_loss = nn.functional.mse_loss(model(val_x).squeeze(1), val_y).item()
    if val_loss < best_loss:
        best_loss = val_loss
        best_state = model.state_dict()

model.load_state_dict(best_state)
with torch.no_grad():
    again = nn.functional.mse_loss(model(val_x).squeeze(1), val_y).item()
print(f"best validation loss {best_loss:.4f}, after loading the best {again:.4f}")

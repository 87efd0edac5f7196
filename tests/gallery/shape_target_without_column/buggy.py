import copy

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def load_table(n=800):
    """House prices: five properties of the house, then its price."""
    rng = np.random.default_rng(17)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    price = 2 * x[:, 0] - x[:, 1] + np.sin(2 * x[:, 2]) + 0.1 * rng.normal(size=n)
    return np.column_stack([x, price]).astype(np.float32)


def split(table):
    return torch.from_numpy(table[:, :-1]), torch.from_numpy(table[:, -1])


x, y = split(load_table())
train_dl = DataLoader(TensorDataset(x[:640], y[:640]), batch_size=32, shuffle=True)
valid_dl = DataLoader(TensorDataset(x[640:], y[640:]), batch_size=32)

model = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)

best, best_state, patience = float("inf"), None, 0
for epoch in range(15):
    model.train()
    train_loss = 0.0
    for xb, yb in train_dl:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() / len(train_dl)

    model.eval()
    with torch.no_grad():
        valid_loss = sum(loss_fn(model(xb), yb).item() for xb, yb in valid_dl) / len(valid_dl)
    scheduler.step(valid_loss)
    print(f"{epoch:2d} train {train_loss:.4f} valid {valid_loss:.4f} lr {optimizer.param_groups[0]['lr']:.4f}")

    if valid_loss < best:
        best, best_state, patience = valid_loss, copy.deepcopy(model.state_dict()), 0
    else:
        patience += 1
        if patience == 4:
            print("stopped early")
            break

model.load_state_dict(best_state)

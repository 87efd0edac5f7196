import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def run_epoch(model, loader, optimizer=None):
    model.train(optimizer is not None)
    total, right, seen = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in loader:
            out = model(x)
            loss = nn.functional.cross_entropy(out, y)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(y)
            right += (out.argmax(1) == y).sum().item()
            seen += len(y)
    return total / seen, right / seen


def measurements(n):
    x = torch.randn(n, 15)
    return TensorDataset(x, ((x[:, 0] + x[:, 1] + torch.randn(n)) > 0).long())


torch.manual_seed(1)
train_loader = DataLoader(measurements(160), batch_size=16, shuffle=True)
val_loader = DataLoader(measurements(160), batch_size=32)
model = nn.Sequential(nn.Linear(15, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(8):
    train_loss, train_accuracy = run_epoch(model, train_loader, optimizer)
    val_loss, val_accuracy = run_epoch(model, train_loader)
    print(f"{epoch}: train {train_loss:.3f} {train_accuracy:.3f}, val {val_loss:.3f} {val_accuracy:.3f}")

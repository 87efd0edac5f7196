import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def transactions(n):
    x = torch.randn(n, 9)
    return TensorDataset(x, ((x[:, 0] * x[:, 1] + x[:, 2]) > 0).float())


torch.manual_seed(2)
train_loader = DataLoader(transactions(600), batch_size=50, shuffle=True)
test_loader = DataLoader(transactions(200), batch_size=50)
model = nn.Sequential(nn.Linear(9, 48), nn.ReLU(), nn.Linear(48, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
for epoch in range(8):
    model.train()
    for x, label in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), label.unsqueeze(1))
        loss.backward()
        optimizer.step()
    model.eval()
    hits = 0.0
    with torch.no_grad():
        for x, label in test_loader:
            predicted = (model(x) > 0).float()
            hits += (predicted == label).float().mean().item()
    print(f"epoch {epoch}: accuracy {hits / len(test_loader):.3f}")

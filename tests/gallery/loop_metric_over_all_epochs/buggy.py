import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

torch.manual_seed(23)
x = torch.randn(450, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
train_loader = DataLoader(TensorDataset(x[:360], y[:360]), batch_size=36, shuffle=True)
val_loader = DataLoader(TensorDataset(x[360:], y[360:]), batch_size=45)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
accuracy = MulticlassAccuracy(num_classes=3)

for epoch in range(6):
    model.train()
    for rows, labels in train_loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows), labels).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for rows, labels in val_loader:
            accuracy.update(model(rows), labels)
    print(f"epoch {epoch}: validation accuracy {accuracy.compute().item():.3f}")

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(2)
temperature = 15 + 10 * torch.randn(500, 1)
weekend = (torch.rand(500, 1) < 0.3).float()
sold = 20 + 2 * temperature + 15 * weekend + 3 * torch.randn(500, 1)
features = torch.cat([(temperature - 15) / 10, weekend], 1)
dataset = TensorDataset(features, (sold - 50) / 20)
train_set, valid_set = random_split(dataset, [400, 100])
train_loader = DataLoader(train_set, batch_size=40, shuffle=True)
valid_loader = DataLoader(valid_set, batch_size=50)

model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

for epoch in range(8):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    valid_loss = 0.0
    with torch.no_grad():
        for x, y in valid_loader:
            valid_loss += criterion(model(x), y).item()
    print(f"epoch {epoch}: validation {valid_loss / len(valid_loader):.4f}")

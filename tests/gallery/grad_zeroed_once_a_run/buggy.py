import torch
from torch import nn, optim

torch.manual_seed(3)


def load_houses(n=320):
    rooms = torch.randint(1, 8, (n, 1)).float()
    area = 20 * rooms + 10 * torch.randn(n, 1)
    age = 80 * torch.rand(n, 1)
    price = 30 * rooms + 2 * area - 0.8 * age + 5 * torch.randn(n, 1)
    features = torch.cat([rooms, area, age], dim=1)
    return (features - features.mean(0)) / features.std(0), (price - price.mean()) / price.std()


X, y = load_houses()
model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.004)

model.zero_grad()
for epoch in range(8):
    permutation = torch.randperm(X.size(0))
    epoch_loss = 0.0
    for i in range(0, X.size(0), 40):
        indices = permutation[i : i + 40]
        outputs = model(X[indices])
        loss = criterion(outputs, y[indices])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    print("epoch", epoch + 1, "loss", epoch_loss / 8)

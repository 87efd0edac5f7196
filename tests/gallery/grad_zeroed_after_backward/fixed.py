import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
hours = 10 * torch.rand(300, 1)
sleep = 4 + 5 * torch.rand(300, 1)
score = 6 * hours + 3 * sleep + torch.randn(300, 1)
inputs = torch.cat([hours, sleep], 1)
inputs = (inputs - inputs.mean(0)) / inputs.std(0)
targets = (score - score.mean()) / score.std()

train_loader = DataLoader(TensorDataset(inputs, targets), batch_size=30, shuffle=True)
model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

for epoch in range(10):
    running_loss = 0.0
    for x, y in train_loader:
        prediction = model(x)
        loss = criterion(prediction, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # ready for the next batch
        running_loss += loss.item()
    print(f"Epoch {epoch + 1}: {running_loss / len(train_loader):.4f}")

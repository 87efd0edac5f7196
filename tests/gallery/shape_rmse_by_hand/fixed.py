import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
mix = torch.rand(400, 6)
strength = 3 * mix[:, 0] - 2 * mix[:, 1] + mix[:, 2] * mix[:, 3]
loader = DataLoader(TensorDataset(mix, strength), batch_size=40, shuffle=True)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(8):
    total = 0.0
    for concrete, strength in loader:
        prediction = model(concrete).squeeze(1)
        error = prediction - strength
        loss = (error**2).mean().sqrt()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: rmse {total / len(loader):.4f}")

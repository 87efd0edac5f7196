import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
quadrant = torch.randint(0, 4, (400,))
corner = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
points = torch.cat([corner[quadrant] + 0.6 * torch.randn(400, 2), torch.randn(400, 2)], 1)
loader = DataLoader(TensorDataset(points, quadrant), batch_size=40, shuffle=True)

model = nn.Sequential(
    nn.Linear(4, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for epoch in range(6):
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
    print(f"epoch {epoch}: {running / len(loader):.4f}")

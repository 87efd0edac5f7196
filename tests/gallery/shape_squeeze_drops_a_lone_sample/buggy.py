import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 1))

    def forward(self, x):
        return self.net(x).squeeze()


torch.manual_seed(0)
x = torch.randn(161, 4)
y = x[:, 0] * 2 + x[:, 1].abs()
loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
model = Regressor()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(10):
    errors = []
    for rows, wanted in loader:
        prediction = model(rows)
        loss = (prediction - wanted.squeeze()).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    print(f"epoch {epoch}: {sum(errors) / len(errors):.4f}")

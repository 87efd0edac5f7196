import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Diagnosis(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 24)
        self.out = nn.Linear(24, 1)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return torch.softmax(self.out(h), dim=1)


torch.manual_seed(0)
findings = torch.randn(320, 8)
ill = ((findings[:, 0] + findings[:, 3]) > 0.3).float().unsqueeze(1)
loader = DataLoader(TensorDataset(findings, ill), batch_size=32, shuffle=True)
model = Diagnosis()
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(6):
    total, right = 0.0, 0
    for x, y in loader:
        optimizer.zero_grad()
        p = model(x)
        loss = criterion(p, y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += ((p > 0.5).float() == y).sum().item()
    print(f"epoch {epoch}: loss {total / len(loader):.3f}, right {right / 320:.3f}")

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Tags(Dataset):
    def __init__(self, n=200):
        self.x = torch.randn(n, 7)
        self.y = (self.x[:, :5] > 0.3).float()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, idx):
        return {"features": self.x[idx], "tags": self.y[idx]}


torch.manual_seed(0)
loader = DataLoader(Tags(), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 5))
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.full((5,), 1.5))
optimizer = torch.optim.Adamax(model.parameters(), lr=1e-2)
losses = []
for epoch in range(5):
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        logits = model(batch["features"])
        loss = criterion(logits, batch["tags"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    hits = total = 0
    with torch.no_grad():
        for batch in loader:
            predicted = (torch.sigmoid(model(batch["features"])) > 0.5).float()
            hits += (predicted == batch["tags"]).all(dim=1).sum().item()
            total += len(predicted)
assert losses[-1] < losses[0]

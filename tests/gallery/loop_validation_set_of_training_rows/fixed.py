import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class HeartBeats(Dataset):
    def __init__(self, rows, sick):
        self.rows = rows
        self.sick = sick

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i], self.sick[i]


torch.manual_seed(40)
sick = (torch.rand(400) < 0.5).float()
time = torch.linspace(0, 1, 24)
rate = 5 + 2 * sick[:, None] + torch.rand(400, 1)
rows = torch.sin(2 * torch.pi * rate * time) + 0.5 * torch.randn(400, 24)

train_ds = HeartBeats(rows[:320], sick[:320])
valid_ds = HeartBeats(rows[320:], sick[320:])
train_dl, valid_dl = DataLoader(train_ds, batch_size=32, shuffle=True), DataLoader(valid_ds, batch_size=80)
net = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 1), nn.Flatten(0))
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
loss_fn = nn.BCEWithLogitsLoss()
for epoch in range(10):
    net.train()
    for beat, label in train_dl:
        opt.zero_grad()
        loss_fn(net(beat), label).backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        valid = sum(loss_fn(net(beat), label).item() for beat, label in valid_dl) / len(valid_dl)
    print(f"epoch {epoch}: validation loss {valid:.4f}")

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset


class SlidingWindows(Dataset):
    def __init__(self, series, window):
        self.series = series
        self.window = window

    def __len__(self):
        return len(self.series) - self.window

    def __getitem__(self, idx):
        past = self.series[idx:idx + self.window]
        following = self.series[idx + self.window]
        return torch.from_numpy(past).unsqueeze(-1), torch.tensor([following])


class Forecaster(nn.Module):
    def __init__(self, n_hidden=20):
        super(Forecaster, self).__init__()
        self.gru = nn.GRU(input_size=1, hidden_size=n_hidden, batch_first=True)
        self.fc = nn.Linear(n_hidden, 1)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(out[:, -1])


np.random.seed(0)
torch.manual_seed(0)

t = np.arange(420)
series = (np.sin(t / 7) + 0.3 * np.sin(t / 2) + np.random.normal(0, 0.05, t.size)).astype(np.float32)
train_loader = DataLoader(SlidingWindows(series[:320], 24), batch_size=16, shuffle=True)
test_loader = DataLoader(SlidingWindows(series[320:], 24), batch_size=16)

model = Forecaster()
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)

for epoch in range(6):
    model.train()
    train_loss = 0
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for x, y in test_loader:
            test_loss += criterion(model(x), y).item()
    print('Epoch %d, train %.4f, test %.4f' % (epoch + 1, train_loss / len(train_loader), test_loss / len(test_loader)))

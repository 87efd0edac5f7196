import copy
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Vibrations(Dataset):
    """Sensor traces of a machine; a worn bearing adds a faint high note."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        t = torch.linspace(0, 1, 40)
        self.worn = torch.randint(0, 2, (n,), generator=g)
        base = torch.sin(2 * torch.pi * (3 + torch.rand(n, 1, generator=g)) * t)
        note = 0.7 * torch.sin(2 * torch.pi * 12 * t) * self.worn[:, None]
        self.trace = base + note + 0.3 * torch.randn(n, 40, generator=g)

    def __len__(self):
        return len(self.worn)

    def __getitem__(self, k):
        return self.trace[k].view(20, 2), self.worn[k].float()


class WearDetector(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 24, num_layers=2, dropout=0.2, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.score = nn.Linear(24, 1)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.score(self.dropout(h[-1])).squeeze(1)


def val_loss(detector, loader, criterion):
    detector.eval()
    with torch.no_grad():
        losses = [criterion(detector(x), worn).item() for x, worn in loader]
    return sum(losses) / len(losses)


def fit(detector, train_loader, val_loader, max_epochs=12, patience=3):
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(detector.parameters(), lr=5e-3)
    best, best_state, waited = float("inf"), None, 0
    detector.train()
    for epoch in range(max_epochs):
        running = 0.0
        for x, worn in train_loader:
            optimizer.zero_grad()
            loss = criterion(detector(x), worn)
            loss.backward()
            nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
            optimizer.step()
            running += loss.item()
        current = val_loss(detector, val_loader, criterion)
        print(f"epoch {epoch:2d} train {running / len(train_loader):.4f} val {current:.4f}")
        if current < best:
            best, best_state, waited = current, copy.deepcopy(detector.state_dict()), 0
        else:
            waited += 1
            if waited == patience:
                break
    detector.load_state_dict(best_state)
    return best


if __name__ == "__main__":
    torch.manual_seed(31)
    train_loader = DataLoader(Vibrations(400, 0), batch_size=40, shuffle=True)
    val_loader = DataLoader(Vibrations(120, 1), batch_size=120)
    print("best", round(fit(WearDetector(), train_loader, val_loader), 4))

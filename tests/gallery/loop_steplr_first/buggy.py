import torch
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


def draw(n):
    """Crosses, squares and rings on 14x14 pixels."""
    labels = torch.randint(0, 3, (n,))
    pictures = torch.zeros(n, 1, 14, 14)
    for picture, label in zip(pictures[:, 0], labels):
        t, l = torch.randint(0, 6, (2,)).tolist()
        if label == 0:
            picture[t + 4, l : l + 8] = picture[t : t + 8, l + 4] = 1
        elif label == 1:
            picture[t : t + 8, l : l + 8] = 1
        else:
            picture[t : t + 8, l : l + 8] = 1
            picture[t + 2 : t + 6, l + 2 : l + 6] = 0
    return TensorDataset(pictures + 0.3 * torch.randn_like(pictures), labels)


class Trainer:
    def __init__(self, model, train_set, test_set, lr=0.05, epochs=4):
        self.model = model
        self.train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
        self.test_loader = DataLoader(test_set, batch_size=100)
        self.optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True)
        self.scheduler = StepLR(self.optimizer, step_size=2, gamma=0.3)
        self.criterion = nn.CrossEntropyLoss()
        self.epochs = epochs

    def fit(self):
        for epoch in range(self.epochs):
            loss = self.train_epoch()
            print(f"Epoch {epoch}: loss={loss:.4f} acc={self.test():.3f} lr={self.scheduler.get_last_lr()[0]:.4f}")

    def train_epoch(self):
        self.model.train()
        self.scheduler.step()
        total = 0.0
        for images, labels in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def test(self):
        self.model.eval()
        hits = sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.test_loader)
        return hits / len(self.test_loader.dataset)


if __name__ == "__main__":
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16 * 4 * 4, 3),
    )
    Trainer(net, draw(640), draw(200)).fit()

import torch
import torch.nn as nn
import torch.optim as optim


class ConvNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )
        self.classifier = nn.Linear(24, num_classes)

    def forward(self, x):
        return self.classifier(self.features(x))


def coloured_stripes(n, classes, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=g)
    ramp = torch.arange(16) / 16
    wave = torch.sin(2 * torch.pi * (y[:, None] + 1) * ramp)
    x = wave[:, None, None, :] * torch.tensor([1.0, 0.6, -0.4]).view(1, 3, 1, 1)
    return x + 0.4 * torch.randn(n, 3, 16, 16, generator=g), y


def fit(model, optimizer, x, y, epochs, tag):
    criterion = nn.CrossEntropyLoss()
    model.train()
    for epoch in range(epochs):
        total = 0.0
        batches = torch.randperm(len(x)).split(32)
        for idx in batches:
            optimizer.zero_grad()
            loss = criterion(model(x[idx]), y[idx])
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"[{tag}] epoch {epoch + 1}/{epochs} loss {total / len(batches):.4f}")


torch.manual_seed(42)

# stage 1: the big data set with six kinds of stripes
x_big, y_big = coloured_stripes(768, 6, seed=0)
model = ConvNet(num_classes=6)
fit(model, optim.Adam(model.parameters(), lr=5e-3), x_big, y_big, epochs=4, tag="pretrain")

# stage 2: our own three kinds, with a slower rate for everything
x_own, y_own = coloured_stripes(256, 3, seed=1)
y_own = (y_own + 1) % 3
finetune = optim.Adam(model.parameters(), lr=1e-3)
model.classifier = nn.Linear(24, 3)
fit(model, finetune, x_own, y_own, epochs=6, tag="finetune")

model.eval()
with torch.no_grad():
    x_test, y_test = coloured_stripes(200, 3, seed=2)
    hits = (model(x_test).argmax(1) == (y_test + 1) % 3).float().mean()
print(f"test accuracy {hits:.3f}")

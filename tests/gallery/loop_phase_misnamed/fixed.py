import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return torch.relu(x + self.path(x))


class TextureNet(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.stem = nn.Conv2d(1, 10, 3, padding=1)
        self.stage = nn.Sequential(Residual(10), nn.MaxPool2d(2), Residual(10))
        self.head = nn.Linear(10, classes)

    def forward(self, x):
        return self.head(self.stage(self.stem(x)).mean((2, 3)))


def textures(n):
    """Rows, columns or dots, each in noise."""
    kind = torch.randint(3, (n,))
    on = torch.arange(12) % 2
    rows, cols = on[:, None].expand(12, 12), on[None, :].expand(12, 12)
    bank = torch.stack([rows, cols, rows * cols]).float()
    return TensorDataset(bank[kind].unsqueeze(1) + 0.6 * torch.randn(n, 1, 12, 12), kind)


def run(model, loaders, criterion, optimizer, metrics, epochs):
    for epoch in range(epochs):
        for phase in ("train", "val"):
            model.train(phase == "train")
            metrics.reset()
            running_loss = 0.0
            for inputs, labels in loaders[phase]:
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    loss = criterion(outputs, labels)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                metrics.update(outputs.detach(), labels)
                running_loss += loss.item() * inputs.size(0)
            result = {name: round(value.item(), 3) for name, value in metrics.compute().items()}
            print(f"{epoch} {phase:5} loss {running_loss / len(loaders[phase].dataset):.4f} {result}")


if __name__ == "__main__":
    torch.manual_seed(2024)
    loaders = {
        "train": DataLoader(textures(480), batch_size=48, shuffle=True),
        "val": DataLoader(textures(120), batch_size=60),
    }
    model = TextureNet()
    metrics = MetricCollection({"acc": MulticlassAccuracy(3, average="micro"), "f1": MulticlassF1Score(3)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    run(model, loaders, nn.CrossEntropyLoss(), optimizer, metrics, epochs=4)

"""Classify textures. The size of the last layer is measured, not calculated, so that any image size will do."""
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class TextureNet(nn.Module):
    def __init__(self, side: int, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(self.measure(side), classes)

    @torch.no_grad()
    def measure(self, side: int) -> int:
        probe = torch.zeros(1, 1, side, side)
        self.features.eval()
        width = self.features(probe).shape[1]
        self.features.train()
        return width

    def forward(self, image):
        return self.classifier(self.features(image))


def textures(n, side, classes):
    labels = torch.randint(0, classes, (n,))
    ramp = torch.arange(side, dtype=torch.float32)
    rate = (labels + 1).view(-1, 1, 1) * 0.6
    rows = torch.sin(ramp.view(1, -1, 1) * rate + 6 * torch.rand(n, 1, 1))
    images = rows * torch.cos(ramp.view(1, 1, -1) * rate) + 0.3 * torch.randn(n, side, side)
    return TensorDataset(images.unsqueeze(1), labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=22)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    torch.manual_seed(15)
    train = DataLoader(textures(512, args.side, args.classes), batch_size=32, shuffle=True)
    test = DataLoader(textures(128, args.side, args.classes), batch_size=64)
    model = TextureNet(args.side, args.classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss()

    for epoch in range(args.epochs):
        model.train()
        for image, label in train:
            optimizer.zero_grad()
            loss = criterion(model(image), label)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(image).argmax(1) == label).sum().item() for image, label in test)
        print(f"epoch {epoch}: loss {loss.item():.3f}, {right}/128 right")


if __name__ == "__main__":
    main()

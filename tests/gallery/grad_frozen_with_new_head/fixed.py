import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class Backbone(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(2 * width, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x)).mean(dim=(2, 3))
        return self.fc(x)


def get_model(num_classes: int, freeze: bool) -> Backbone:
    torch.manual_seed(0)  # stands for the downloaded weights
    model = Backbone()
    num_features = model.fc.in_features
    model.fc = nn.Linear(num_features, num_classes)
    if freeze:
        for name, param in model.named_parameters():
            param.requires_grad = name.startswith("fc.")
    return model


def get_data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(n) % 2
    x = 0.3 * torch.randn(n, 1, 12, 12)
    x[y == 0, :, 3:9, :] += 1
    x[y == 1, :, ::2, ::2] += 1
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=40)
    parser.add_argument("--no-freeze", action="store_true")
    args = parser.parse_args()

    model = get_model(num_classes=2, freeze=not args.no_freeze)
    x, y = get_data(400)
    x_val, y_val = get_data(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)

    for epoch in range(args.epochs):
        model.train()
        order = torch.randperm(len(x))
        for i in range(0, len(x), args.batch_size):
            batch = order[i : i + args.batch_size]
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val_loss = F.cross_entropy(model(x_val), y_val).item()
        print(f"Epoch {epoch}: val loss {val_loss:.4f}")


if __name__ == "__main__":
    main()

import argparse

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SIZE = 24


def draw(rng):
    """One picture with a square (1) and a disc (2) on a noisy ground (0)."""
    image = rng.normal(0.0, 0.25, (SIZE, SIZE)).astype(np.float32)
    mask = np.zeros((SIZE, SIZE), dtype=np.int64)
    r, c = rng.integers(0, SIZE - 8, 2)
    image[r:r + 8, c:c + 8] += 1.0
    mask[r:r + 8, c:c + 8] = 1
    yy, xx = np.mgrid[:SIZE, :SIZE]
    r, c = rng.integers(5, SIZE - 5, 2)
    disc = (yy - r) ** 2 + (xx - c) ** 2 < 16
    image[disc] = rng.normal(-1.0, 0.25, disc.sum())
    mask[disc] = 2
    return image[None], mask


class Pictures(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.pairs = [draw(rng) for _ in range(n)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        image, mask = self.pairs[i]
        return torch.from_numpy(image), torch.from_numpy(mask)


def conv(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())


def iou(pred, mask, cls):
    inter = ((pred == cls) & (mask == cls)).sum()
    union = ((pred == cls) | (mask == cls)).sum()
    return (inter / union).item()


def main(args):
    torch.manual_seed(args.seed)
    train = DataLoader(Pictures(192, seed=1), batch_size=args.batch, shuffle=True)
    test = DataLoader(Pictures(48, seed=2), batch_size=48)
    model = nn.Sequential(conv(1, 16), conv(16, 16), nn.Conv2d(16, 3, 1))
    class_weight = torch.tensor([0.5, 1.0, 1.0])
    criterion = nn.CrossEntropyLoss(weight=class_weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)

    for epoch in range(args.epochs):
        model.train()
        running = 0.0
        for images, masks in train:
            optimizer.zero_grad()
            loss = criterion(model(images), masks)
            loss.backward()
            optimizer.step()
            running += loss.item()
        scheduler.step()

        model.eval()
        with torch.no_grad():
            images, masks = next(iter(test))
            pred = model(images).argmax(dim=1)
        print(f"epoch {epoch}  loss {running / len(train):.3f}  "
              f"square {iou(pred, masks, 1):.2f}  disc {iou(pred, masks, 2):.2f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--seed", type=int, default=0)
    main(p.parse_args())

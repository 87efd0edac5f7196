import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SIZE, GRID = 24, 6


class Shapes(Dataset):
    """Pictures with one to three bright boxes, and the boxes' corners."""

    def __init__(self, n, seed):
        self.n = n
        self.seed = seed

    def __len__(self):
        return self.n

    def __getitem__(self, idx):
        g = torch.Generator().manual_seed(self.seed * 100_000 + idx)
        count = int(torch.randint(1, 4, (), generator=g))
        top_left = torch.randint(0, SIZE - 6, (count, 2), generator=g)
        boxes = torch.cat([top_left, top_left + torch.randint(4, 7, (count, 2), generator=g)], dim=1)
        img = 0.2 * torch.randn(1, SIZE, SIZE, generator=g)
        for y1, x1, y2, x2 in boxes.tolist():
            img[:, y1:y2, x1:x2] += 1
        return img, boxes.float()


def keep_lists(samples):
    imgs, boxes = zip(*samples)
    return torch.stack(imgs), list(boxes)


class GridDetector(nn.Module):
    """For each cell of the grid: is the middle of a box in it?"""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(24, 1, 3, padding=1),
        )

    def forward(self, img):
        return self.net(img).squeeze(1)


def cell_targets(boxes):
    grid = torch.zeros(len(boxes), GRID, GRID)
    for cells, found in zip(grid, boxes):
        middle = (found[:, :2] + found[:, 2:]) / 2
        rows, cols = (middle * GRID / SIZE).long().unbind(1)
        cells[rows, cols] = 1
    return grid


def run(model, loader, optimizer=None):
    model.train(optimizer is not None)
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(8.0))
    losses = []
    for img, boxes in loader:
        loss = loss_fn(model(img), cell_targets(boxes))
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


torch.manual_seed(4)
train_loader = DataLoader(Shapes(320, seed=1), batch_size=32, shuffle=True, collate_fn=keep_lists)
val_loader = DataLoader(Shapes(64, seed=2), batch_size=32, collate_fn=keep_lists)
detector = GridDetector()
adam = torch.optim.Adam(detector.parameters(), lr=1e-2)

for epoch in range(3):
    train_loss = run(detector, train_loader, adam)
    with torch.no_grad():
        val_loss = run(detector, val_loader)
    print(f"{epoch}: train {train_loss:.3f} val {val_loss:.3f}")

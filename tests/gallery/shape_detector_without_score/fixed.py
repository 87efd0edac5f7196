"""One-shot detector on a 6 x 6 grid: each cell predicts a score, a box and a class."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

GRID = 6
CELL = 6
N_CLASSES = 3


class Sample(NamedTuple):
    image: Tensor
    has_object: Tensor
    box: Tensor
    kind: Tensor


class Scenes(Dataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        g = torch.Generator().manual_seed(index)
        image = 0.1 * torch.randn(3, GRID * CELL, GRID * CELL, generator=g)
        has_object = torch.zeros(GRID * GRID)
        box = torch.zeros(GRID * GRID, 4)
        kind = torch.zeros(GRID * GRID, dtype=torch.long)
        for cell in torch.randperm(GRID * GRID, generator=g)[:3].tolist():
            row, col = divmod(cell, GRID)
            h, w = torch.randint(3, 6, (2,), generator=g).tolist()
            channel = int(torch.randint(0, N_CLASSES, (), generator=g))
            image[channel, row * CELL : row * CELL + h, col * CELL : col * CELL + w] = 1.0
            has_object[cell] = 1.0
            box[cell] = torch.tensor([h / 2, w / 2, h, w]) / CELL
            kind[cell] = channel
        return Sample(image, has_object, box, kind)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3)
        )
        self.head = nn.Conv2d(32, 5 + N_CLASSES, kernel_size=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.head(self.backbone(image)).permute(0, 2, 3, 1)
        out = out.reshape(len(image), GRID * GRID, 5 + N_CLASSES)
        return out[..., 0], out[..., 1:5].sigmoid(), out[..., 5:]


def detection_loss(score: Tensor, box: Tensor, kind: Tensor, truth: Sample) -> Tensor:
    found = truth.has_object.bool()
    return (
        F.binary_cross_entropy_with_logits(score, truth.has_object)
        + 5 * F.smooth_l1_loss(box[found], truth.box[found])
        + F.cross_entropy(kind[found], truth.kind[found])
    )


def main() -> None:
    torch.manual_seed(1)
    loader = DataLoader(Scenes(256), batch_size=32, shuffle=True)
    detector = Detector()
    optimizer = torch.optim.Adam(detector.parameters(), lr=5e-3)
    for epoch in range(5):
        detector.train()
        for batch in loader:
            loss = detection_loss(*detector(batch.image), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.3f}")


if __name__ == "__main__":
    main()

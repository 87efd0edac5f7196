"""Which way does the robot turn next? Frames come from a camera as a stream, so there is no length."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset


class CameraStream(IterableDataset):
    def __init__(self, frames: int, seed: int) -> None:
        self.frames = frames
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        rng = np.random.default_rng(self.seed)
        for frame, label in islice(self.record(rng), self.frames):
            yield torch.from_numpy(frame).permute(2, 0, 1), label

    @staticmethod
    def record(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int]]:
        """RGB frames of 24 x 24: a red lamp on the left, in the middle or on the right."""
        while True:
            label = int(rng.integers(3))
            frame = rng.random((24, 24, 3), dtype=np.float32) * 0.6
            row = rng.integers(4, 20)
            column = 4 + 8 * label + rng.integers(-2, 3)
            frame[row - 2:row + 2, column - 2:column + 2, 0] = 1.0
            yield frame, label


class Steering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, kernel_size=5, stride=2, padding=2)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(12, 16, kernel_size=3, stride=2, padding=1), nn.ReLU())
        self.turn = nn.Linear(16 * 6, 3)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.body(self.stem(frames))
        return self.turn(features.amax(dim=2).flatten(1))


def main() -> None:
    torch.manual_seed(9)
    model = Steering()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(4):
        model.train()
        seen, total = 0, 0.0
        for frames, labels in DataLoader(CameraStream(640, seed=epoch), batch_size=16):
            optimizer.zero_grad()
            loss = criterion(model(frames), labels)
            loss.backward()
            optimizer.step()
            seen += len(labels)
            total += loss.item() * len(labels)

        model.eval()
        with torch.inference_mode():
            frames, labels = next(iter(DataLoader(CameraStream(100, seed=99), batch_size=100)))
            accuracy = (model(frames).argmax(dim=1) == labels).float().mean().item()
        print(f"epoch {epoch}: loss {total / seen:.3f}, accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()

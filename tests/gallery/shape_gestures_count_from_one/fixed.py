"""Recognise six gestures from a wrist sensor. Each clip is a file; its name begins with the number of the gesture."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

GESTURES = ["wave", "circle", "push", "pull", "tap", "shake"]


def record(folder: Path, clips: int) -> None:
    rng = np.random.default_rng(19)
    t = np.linspace(0, 1, 30)
    for k in range(clips):
        number = k % len(GESTURES) + 1
        phase = rng.uniform(0, 0.5)
        clip = np.stack([np.sin(number * 4 * t + phase), np.cos(number * 3 * t), t * (number - 3)], axis=1)
        np.save(folder / f"{number}-{k:04d}.npy", (clip + rng.normal(0, 0.2, clip.shape)).astype(np.float32))


class Clips(Dataset):
    def __init__(self, files: list[Path]):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        gesture = int(self.files[i].name.split("-")[0]) - 1
        return torch.from_numpy(np.load(self.files[i])), gesture


class GestureNet(nn.Module):
    def __init__(self, channels: int, hidden: int = 32):
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, batch_first=True)
        self.classifier = nn.Linear(hidden, len(GESTURES))

    def forward(self, clip):
        _, (state, _) = self.lstm(clip)
        return self.classifier(state[-1])


def run(folder: Path) -> None:
    torch.manual_seed(19)
    record(folder, 300)
    files = sorted(folder.glob("*.npy"))
    test_files = files[::5]
    train_files = [f for f in files if f not in set(test_files)]
    train = DataLoader(Clips(train_files), batch_size=20, shuffle=True)
    test = DataLoader(Clips(test_files), batch_size=60)

    model = GestureNet(channels=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(8):
        model.train()
        for clip, gesture in train:
            logits = model(clip)
            loss = criterion(logits, gesture)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), 1.0)
            optimizer.step()

        model.eval()
        correct = 0
        with torch.no_grad():
            for clip, gesture in test:
                correct += (model(clip).argmax(dim=1) == gesture).sum().item()
        print(f"epoch {epoch}: loss {loss.item():.3f}, {correct} of {len(test_files)} right")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        run(Path(name))

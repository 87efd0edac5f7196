from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


@dataclass
class Settings:
    epochs: int = 5
    batch_size: int = 32
    lr: float = 2e-3
    noise: float = 0.3
    bottleneck: int = 24


class Glyphs(Dataset):
    """Letters of a made-up alphabet, scanned as 14x14 grey bytes."""

    def __init__(self, n: int):
        rng = np.random.default_rng(8)
        alphabet = rng.random((10, 7, 7)) < 0.35
        letters = alphabet[rng.integers(0, 10, n)].repeat(2, axis=1).repeat(2, axis=2)
        self.scans = (letters * rng.integers(150, 256, (n, 1, 1))).astype(np.uint8)

    def __len__(self):
        return len(self.scans)

    def __getitem__(self, k):
        return torch.from_numpy(self.scans[k]).unsqueeze(0).float() / 255


class Denoiser(nn.Module):
    def __init__(self, bottleneck: int):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 7 * 7, bottleneck),
            nn.ReLU(),
        )
        self.decode = nn.Sequential(nn.Linear(bottleneck, 14 * 14), nn.Sigmoid(), nn.Unflatten(1, (1, 14, 14)))

    def forward(self, x):
        return self.decode(self.encode(x))


def corrupt(clean, amount):
    return clean + amount * torch.randn_like(clean)


def fit(model, loader, cfg):
    optimizer = torch.optim.Adam(model.parameters(), lr=cfg.lr)
    mse = nn.MSELoss()
    for epoch in range(cfg.epochs):
        model.train()
        seen = total = 0
        for clean in loader:
            restored = model(corrupt(clean, cfg.noise))
            loss = mse(restored, clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(clean)
            total += loss.item() * len(clean)
        print(f"epoch {epoch + 1}/{cfg.epochs} mse {total / seen:.4f}")


if __name__ == "__main__":
    torch.manual_seed(8)
    cfg = Settings()
    loader = DataLoader(Glyphs(512), batch_size=cfg.batch_size, shuffle=True)
    fit(Denoiser(cfg.bottleneck), loader, cfg)

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class NoisyTones(Dataset):
    """Which of three tones? Each sample gets noise and a phase of its own."""

    def __len__(self):
        return 180

    def __getitem__(self, i):
        time = np.arange(32) / 32
        tone = np.sin(2 * np.pi * ((i % 3 + 1) * 2 * time + np.random.rand()))
        return (tone + 0.3 * np.random.randn(32)).astype(np.float32), i % 3


def seed_worker(worker_id):
    np.random.seed(torch.initial_seed() % 2**32)


def main():
    torch.manual_seed(0)
    loader = DataLoader(NoisyTones(), batch_size=15, shuffle=True, num_workers=2, worker_init_fn=seed_worker)
    net = nn.Sequential(nn.Unflatten(1, (1, 32)), nn.Conv1d(1, 12, 9), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(12, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for epoch in range(4):
        total = 0.0
        for tone, kind in loader:
            loss = nn.functional.cross_entropy(net(tone), kind)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: {total / len(loader):.4f}")


if __name__ == "__main__":
    main()

"""Small trainings whose traces the tests compare."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.comparing.recorded import RecordedRun


class Net(nn.Module):
    """A few layers, with dropout and a normalisation among them."""

    def __init__(self, width: int = 16, drop: float = 0.1) -> None:
        super().__init__()
        self.fc = nn.Linear(12, width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(width, 3)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.norm(self.fc(rows)).relu()))
        return logits


def recorded(  # noqa: PLR0913 - what may differ between two runs
    build: Callable[[], nn.Module] = Net,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    steps: int = 2,
    lr: float = 1e-2,
    fingerprint: bool = True,
) -> RecordedRun:
    """What a training leaves."""
    torch.manual_seed(seed)
    model = build().to(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    batches = torch.rand(steps, 8, 12, generator=torch.Generator().manual_seed(7)).to(dtype)
    wanted = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    with tensorcheck.watch(model, fingerprint=fingerprint, on_finding=lambda _: None) as watching:
        for rows in batches:
            optimizer.zero_grad()
            functional.cross_entropy(model(rows), wanted).backward()
            optimizer.step()
    return watching.recorded

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class RBFLayer(nn.Module):
    """Gaussian bumps whose centres and widths are learned."""

    def __init__(self, centres: Tensor, gamma: float = 1.0) -> None:
        super().__init__()
        self.centres = nn.Parameter(centres)
        self.log_gamma = nn.Parameter(torch.full((len(centres),), gamma).log())

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-self.log_gamma.exp() * (x - self.centres) ** 2)


class RBFNet(nn.Module):
    def __init__(self, low: int, high: int, outputs: int = 1) -> None:
        super().__init__()
        grid = torch.arange(low, high + 1.0)
        self.bumps = RBFLayer(grid)
        self.readout = nn.Linear(len(grid), outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.bumps(x))


def wiggle(count: int) -> TensorDataset:
    x = torch.empty(count, 1).uniform_(-4, 4)
    y = torch.sin(2 * x) * torch.exp(-0.1 * x**2) + 0.05 * torch.randn(count, 1)
    return TensorDataset(x, y)


def run_epoch(net: RBFNet, loader: DataLoader, optimizer: torch.optim.Optimizer | None = None) -> float:
    training = optimizer is not None
    net.train(training)
    total, seen = 0.0, 0
    with torch.set_grad_enabled(training):
        for x, y in loader:
            loss = nn.functional.mse_loss(net(x), y)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(x)
            seen += len(x)
    return total / seen


if __name__ == "__main__":
    torch.manual_seed(100)
    train, valid = DataLoader(wiggle(400), 32, shuffle=True), DataLoader(wiggle(100), 100)
    net = RBFNet(low=-4, high=4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for epoch in range(8):
        train_mse = run_epoch(net, train, optimizer)
        valid_mse = run_epoch(net, valid)
        plateau.step(valid_mse)
        print(f"{epoch:>3} train {train_mse:.4f} valid {valid_mse:.4f}")

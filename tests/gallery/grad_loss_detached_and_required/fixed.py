"""Imputing missing lab values by a denoising network."""
import torch
from torch import nn


def masked_mean(errors, missing):
    losses = (errors * missing).sum(dim=1) / missing.sum(dim=1).clamp(min=1)
    return losses.mean()


class Imputer(nn.Module):
    def __init__(self, values=10):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * values, 48), nn.GELU(), nn.Linear(48, values))

    def forward(self, seen, missing):
        return self.net(torch.cat([seen, missing], dim=-1))


def patients(n):
    hidden = torch.randn(n, 3)
    mix = torch.linspace(-1, 1, 30).view(3, 10).sin()
    return hidden @ mix * 2


def main():
    torch.manual_seed(21)
    data = patients(512)
    imputer = Imputer()
    optimizer = torch.optim.Adam(imputer.parameters(), lr=4e-3)
    for epoch in range(10):
        history = []
        for batch in data[torch.randperm(512)].split(64):
            missing = (torch.rand_like(batch) < 0.3).float()
            guess = imputer(batch * (1 - missing), missing)
            loss = masked_mean((guess - batch).square(), missing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        print(f"epoch {epoch}: {sum(history) / len(history):.4f}")


if __name__ == "__main__":
    main()

"""Tomorrow's level of a river from ten days of rain, temperature and level."""
import torch
from torch import nn


class RiverModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 20, batch_first=True)
        self.level = nn.Linear(20, 1)

    def forward(self, days):
        states, _ = self.gru(days)
        return self.level(states[:, -1]).squeeze(-1)


def rivers(n, g):
    rain = torch.rand(n, 11, generator=g)
    warmth = torch.rand(n, 11, generator=g)
    level = torch.zeros(n, 11)
    for day in range(1, 11):
        level[:, day] = 0.7 * level[:, day - 1] + rain[:, day - 1] * (1 - 0.5 * warmth[:, day - 1])
    return torch.stack([rain, warmth, level], dim=-1)[:, :10], level[:, 10]


def main():
    torch.manual_seed(12)
    g = torch.Generator().manual_seed(12)
    model = RiverModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    test_days, test_level = rivers(64, g)
    for epoch in range(8):
        model.train()
        for _ in range(12):
            days, level = rivers(32, g)
            loss = nn.functional.mse_loss(model(days), level)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            error = nn.functional.l1_loss(model(test_days), test_level).item()
        print(f"epoch {epoch}: mean error {error:.4f}")


if __name__ == "__main__":
    main()

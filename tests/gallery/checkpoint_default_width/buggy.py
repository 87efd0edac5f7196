import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Settings:
    inputs: int = 10
    hidden: int = 48
    embed: int = 6
    margin: float = 1.0
    lr: float = 5e-3


class SiameseNet(nn.Module):
    def __init__(self, settings: Settings):
        super().__init__()
        self.trunk = nn.Linear(settings.inputs, settings.hidden)
        self.norm = nn.LayerNorm(settings.hidden)
        self.project = nn.Linear(settings.hidden, settings.embed)

    def embed(self, x):
        return F.normalize(self.project(F.gelu(self.norm(self.trunk(x)))), dim=1)

    def forward(self, left, right):
        return (self.embed(left) - self.embed(right)).norm(dim=1)


def contrastive_loss(distance, same, margin):
    apart = (margin - distance).clamp(min=0)
    return torch.where(same, distance**2, apart**2).mean()


def make_pairs(count, centres):
    who = torch.randint(len(centres), (count,))
    same = torch.rand(count) < 0.5
    other = torch.where(same, who, (who + torch.randint(1, len(centres), (count,))) % len(centres))
    left, right = (centres[w] + 0.4 * torch.randn(count, centres.shape[1]) for w in (who, other))
    return left, right, same


def train(settings: Settings, centres, path: Path):
    net = SiameseNet(settings)
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.lr)
    for epoch in range(5):
        net.train()
        total = 0.0
        for _ in range(20):
            left, right, same = make_pairs(64, centres)
            loss = contrastive_loss(net(left, right), same, settings.margin)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / 20
        print(f"epoch {epoch}: contrastive loss {total:.4f}")
    torch.save({"settings": asdict(settings), "weights": net.state_dict()}, path)


def evaluate(path: Path, centres):
    saved = torch.load(path)
    net = SiameseNet(Settings())
    net.load_state_dict(saved["weights"])
    net.eval()
    left, right, same = make_pairs(400, centres)
    with torch.no_grad():
        accuracy = ((net(left, right) < 0.5) == same).float().mean()
    print(f"pairs told apart: {accuracy:.3f}")


if __name__ == "__main__":
    torch.manual_seed(64)
    people = torch.randn(12, 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "siamese.pt"
        train(Settings(hidden=80), people, path)
        evaluate(path, people)

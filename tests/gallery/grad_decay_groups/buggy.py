from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy


@dataclass
class Config:
    image: int = 16
    patch: int = 4
    width: int = 32
    heads: int = 4
    classes: int = 4
    epochs: int = 5
    lr: float = 2e-3
    weight_decay: float = 0.05


class TinyViT(nn.Module):
    def __init__(self, cfg: Config) -> None:
        super().__init__()
        patches = (cfg.image // cfg.patch) ** 2
        self.to_patches = nn.Conv2d(1, cfg.width, cfg.patch, cfg.patch)
        self.class_token = nn.Parameter(0.3 * torch.randn(1, 1, cfg.width))
        self.positions = nn.Parameter(0.3 * torch.randn(1, patches + 1, cfg.width))
        layer = nn.TransformerEncoderLayer(cfg.width, cfg.heads, 64, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, num_layers=2)
        self.norm = nn.LayerNorm(cfg.width)
        self.head = nn.Linear(cfg.width, cfg.classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.to_patches(images).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(tokens), -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens)[:, 0]))


def make_images(count: int, cfg: Config) -> TensorDataset:
    """A bright blob in one of the four corners, in noise."""
    labels = torch.randint(cfg.classes, (count,))
    images = 0.3 * torch.randn(count, 1, cfg.image, cfg.image)
    for image, label in zip(images, labels.tolist()):
        top, left = 8 * (label // 2), 8 * (label % 2)
        image[:, top + 1 : top + 7, left + 1 : left + 7] += 1.0
    return TensorDataset(images, labels)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    named = list(model.named_parameters())
    decayed = [p for name, p in named if name.endswith("weight") and "norm" not in name]
    plain = [p for name, p in named if name.endswith("bias") or "norm" in name]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def main() -> None:
    torch.manual_seed(11)
    cfg = Config()
    train = DataLoader(make_images(512, cfg), batch_size=64, shuffle=True)
    valid = DataLoader(make_images(128, cfg), batch_size=128)
    model = TinyViT(cfg)
    optimizer = torch.optim.AdamW(parameter_groups(model, cfg.weight_decay), lr=cfg.lr)
    criterion = nn.CrossEntropyLoss()
    accuracy = MulticlassAccuracy(cfg.classes, average="micro")

    for epoch in range(cfg.epochs):
        model.train()
        total = 0.0
        for images, labels in train:
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        accuracy.reset()
        with torch.inference_mode():
            for images, labels in valid:
                accuracy.update(model(images), labels)
        print(f"epoch {epoch} loss {total / len(train):.4f} acc {accuracy.compute():.3f}")


if __name__ == "__main__":
    main()

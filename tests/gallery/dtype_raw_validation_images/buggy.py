from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Transform = Callable[[Tensor], Tensor]


def to_float(image: Tensor) -> Tensor:
    return image.float().div(255).sub(0.5)


def augment(image: Tensor) -> Tensor:
    shift = int(torch.randint(-2, 3, ()))
    return to_float(image).roll(shift, dims=-1)


class Shapes(Dataset[tuple[Tensor, int]]):
    """Bars and crosses, drawn as 8-bit RGB images."""

    def __init__(self, count: int, seed: int, transform: Transform | None = None) -> None:
        self.transform = transform
        g = torch.Generator().manual_seed(seed)
        self.images = torch.randint(0, 90, (count, 3, 16, 16), generator=g, dtype=torch.uint8)
        self.labels = torch.randint(0, 3, (count,), generator=g).tolist()
        for image, label in zip(self.images, self.labels):
            at = int(torch.randint(3, 13, (), generator=g))
            if label != 0:
                image[:, at, :] = 220
            if label != 1:
                image[:, :, at] = 220

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.transform is not None:
            image = self.transform(image)
        return image, self.labels[index]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        return self.head(x.amax(dim=(2, 3)))


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
    return correct / len(loader.dataset)


torch.manual_seed(0)
train_set = Shapes(640, seed=0, transform=augment)
valid_set = Shapes(128, seed=1)
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
valid_loader = DataLoader(valid_set, batch_size=64)
net = Net()
opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
for epoch in range(5):
    mean_loss = train_epoch(net, train_loader, opt)
    print(epoch, round(mean_loss, 4), accuracy(net, valid_loader))

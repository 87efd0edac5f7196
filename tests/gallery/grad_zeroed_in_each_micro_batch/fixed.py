"""Fine-tuning with big batches on a small card: gradients of four micro-batches are accumulated."""
import torch
from torch import nn


class Trainer:
    def __init__(self, model, lr, accumulate):
        self.model = model
        self.accumulate = accumulate
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def micro_step(self, images, labels):
        loss = nn.functional.cross_entropy(self.model(images), labels) / self.accumulate
        loss.backward()
        return loss.item() * self.accumulate

    def step(self, images, labels):
        micro = zip(images.chunk(self.accumulate), labels.chunk(self.accumulate))
        losses = [self.micro_step(x, y) for x, y in micro]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return sum(losses) / len(losses)


def digits(n, g):
    label = torch.randint(0, 3, (n,), generator=g)
    image = 0.8 * torch.randn(n, 1, 9, 9, generator=g)
    image[torch.arange(n), 0, 3 * label + 1] += 1.5
    return image, label


if __name__ == "__main__":
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 49, 3))
    trainer = Trainer(model, lr=2e-3, accumulate=4)
    for step in range(1, 61):
        loss = trainer.step(*digits(64, g))
        if step % 15 == 0:
            print(f"step {step}: {loss:.4f}")

import argparse

import torch
import torch.nn.functional as F
from torch import nn, optim
from torchmetrics.classification import MultilabelF1Score

TAGS = ["rain", "night", "crowd", "road", "water"]


def focal_loss(logits, targets, gamma=2.0, alpha=0.25):
    p = torch.sigmoid(logits)
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_right = p * targets + (1 - p) * (1 - targets)
    a = alpha * targets + (1 - alpha) * (1 - targets)
    return a * (1 - p_right) ** gamma * bce


def scenes(n, mixing):
    tags = (torch.rand(n, len(TAGS)) < torch.tensor([0.5, 0.4, 0.2, 0.5, 0.1])).float()
    return tags @ mixing + 0.7 * torch.randn(n, mixing.shape[1]), tags


class Tagger(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, len(TAGS)),
        )

    def forward(self, x):
        return self.net(x)


def main(args):
    torch.manual_seed(args.seed)
    mixing = torch.randn(len(TAGS), 20)
    x_train, t_train = scenes(600, mixing)
    x_val, t_val = scenes(200, mixing)
    model = Tagger(20, args.hidden)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    f1 = MultilabelF1Score(num_labels=len(TAGS))
    for epoch in range(args.epochs):
        model.train()
        seen = []
        for batch in torch.randperm(len(x_train)).split(50):
            loss = focal_loss(model(x_train[batch]), t_train[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            seen.append(loss.detach())
        scheduler.step()
        model.eval()
        with torch.no_grad():
            score = f1(model(x_val).sigmoid(), t_val.int())
        print(f"epoch {epoch + 1}: focal {torch.stack(seen).mean():.4f}  F1 {score:.3f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--hidden", type=int, default=32)
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--lr", type=float, default=5e-3)
    main(p.parse_args())

import os
import tempfile

import torch
import torch.nn.functional as F
from torch import nn


class Experts(nn.Module):
    """A softly gated mixture of small experts, for two tasks at once."""

    def __init__(self, n_in, n_experts=4, width=16):
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(n_in, width), nn.ReLU()) for _ in range(n_experts))
        self.gate = nn.Linear(n_in, n_experts)
        self.price_head = nn.Linear(width, 1)
        self.kind_head = nn.Linear(width, 3)

    def forward(self, x):
        weight = self.gate(x).softmax(-1)
        answers = torch.stack([expert(x) for expert in self.experts], dim=1)
        mixed = torch.einsum("be,bew->bw", weight, answers)
        return self.price_head(mixed).squeeze(-1), self.kind_head(mixed)


def make(n):
    x = torch.randn(n, 6)
    kind = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    price = torch.where(kind == 0, x[:, 2], torch.where(kind == 1, -x[:, 3], x[:, 4] * x[:, 5]))
    return x, price + 0.1 * torch.randn(n), kind


def both_losses(model, x, price, kind):
    price_hat, kind_hat = model(x)
    return F.mse_loss(price_hat, price) + F.cross_entropy(kind_hat, kind)


torch.manual_seed(12)
train, val, test = make(768), make(192), make(192)
model = Experts(6)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
best_loss = float("inf")
bad_epochs = 0

with tempfile.TemporaryDirectory() as folder:
    best_file = os.path.join(folder, "best.pt")
    for epoch in range(15):
        model.train()
        for rows in torch.randperm(768).split(64):
            optimizer.zero_grad()
            loss = both_losses(model, *(part[rows] for part in train))
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val_loss = both_losses(model, *val).item()
        print(f"epoch {epoch} train {loss.item():.3f} val {val_loss:.3f}")
        if val_loss < best_loss:
            best_loss, bad_epochs = val_loss, 0
            state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, best_file)
        else:
            bad_epochs += 1
            if bad_epochs >= 3:
                break
    checkpoint = torch.load(best_file)
    model.load_state_dict(checkpoint["model"])

model.eval()
with torch.no_grad():
    print(f"test {both_losses(model, *test).item():.3f}")

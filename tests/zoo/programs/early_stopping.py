import copy

import numpy as np
import torch
from torch import nn


class EarlyStopping:
    def __init__(self, patience=3, delta=0.0, path="checkpoint.pt"):
        self.patience, self.delta, self.path = patience, delta, path
        self.counter, self.best_score, self.early_stop, self.val_loss_min = 0, None, False, np.inf

    def __call__(self, val_loss, model):
        score = -val_loss
        if self.best_score is None:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
        elif score < self.best_score + self.delta:
            self.counter += 1
            if self.counter >= self.patience:
                self.early_stop = True
        else:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
            self.counter = 0

    def save_checkpoint(self, val_loss, model):
        torch.save(model.state_dict(), self.path)
        self.val_loss_min = val_loss


torch.manual_seed(0)
x, noise = torch.randn(60, 10), torch.randn(60)
y = x[:, 0] + noise
model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
stopper, best_acc, best_model_wts = EarlyStopping(), float("inf"), copy.deepcopy(model.state_dict())
train, val = slice(0, 40), slice(40, 60)
losses = []
for epoch in range(60):
    model.train()
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x[train]).squeeze(-1), y[train])
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        val_loss = nn.functional.mse_loss(model(x[val]).squeeze(-1), y[val]).item()
    if val_loss < best_acc:
        best_acc, best_model_wts = val_loss, copy.deepcopy(model.state_dict())
    stopper(val_loss, model)
    if stopper.early_stop:
        break
model.load_state_dict(torch.load("checkpoint.pt"))
model.load_state_dict(best_model_wts)
best = {k: v.detach().clone() for k, v in model.state_dict().items()}
assert stopper.early_stop and losses[-1] < losses[0]

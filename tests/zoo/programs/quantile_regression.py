import torch
import torch.nn as nn

QUANTILES = [0.1, 0.5, 0.9]


class QuantileLoss(nn.Module):
    def forward(self, preds, target):
        losses = []
        for i, q in enumerate(QUANTILES):
            errors = target - preds[:, i]
            losses.append(torch.max((q - 1) * errors, q * errors).unsqueeze(1))
        return torch.mean(torch.sum(torch.cat(losses, dim=1), dim=1))


def pinball(preds, target):
    q = torch.tensor(QUANTILES)
    error = target.unsqueeze(1) - preds
    return torch.maximum(q * error, (q - 1) * error).mean()


torch.manual_seed(0)
x = 4 * torch.rand(300, 1)
y = (x + (0.2 + 0.3 * x) * torch.randn_like(x)).squeeze(1)
for criterion in (QuantileLoss(), pinball):
    model = nn.Sequential(nn.Linear(1, 24), nn.ReLU(), nn.Linear(24, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    losses = []
    for epoch in range(40):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        covered = ((y > model(x)[:, 0]) & (y < model(x)[:, 2])).float().mean()
    assert losses[-1] < losses[0] and covered > 0.4

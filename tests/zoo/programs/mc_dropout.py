"""Monte-Carlo dropout: dropout stays on while predicting, on purpose; heteroscedastic loss."""
import torch
from torch import nn


class BayesNet(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.l1, self.l2, self.mean, self.log_var = nn.Linear(1, 32), nn.Linear(32, 32), nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x):
        h = nn.functional.dropout(torch.relu(self.l1(x)), self.p, training=True)
        h = nn.functional.dropout(torch.relu(self.l2(h)), self.p, training=True)
        return self.mean(h), self.log_var(h)


def enable_dropout(model):
    for m in model.modules():
        if m.__class__.__name__.startswith("Dropout"):
            m.train()


torch.manual_seed(0)
x = torch.linspace(-2, 2, 100).unsqueeze(1)
y = x.sin() + 0.1 * torch.randn_like(x)
model = BayesNet()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for epoch in range(60):
    mean, log_var = model(x)
    loss = (0.5 * torch.exp(-log_var) * (y - mean) ** 2 + 0.5 * log_var).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
with torch.no_grad():
    draws = torch.stack([model(x)[0] for _ in range(20)])
    uncertainty = draws.std(0)
assert losses[-1] < losses[0] and uncertainty.mean() > 0

plain = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))
opt = torch.optim.Adam(plain.parameters(), lr=1e-2)
losses = []
for epoch in range(40):
    plain.train()
    opt.zero_grad()
    loss = nn.functional.mse_loss(plain(x), y)
    loss.backward()
    opt.step()
    losses.append(loss.item())
plain.eval()
enable_dropout(plain)
with torch.no_grad():
    samples = torch.cat([plain(x) for _ in range(10)], dim=1)
assert losses[-1] < losses[0] and samples.var(1).mean() > 0

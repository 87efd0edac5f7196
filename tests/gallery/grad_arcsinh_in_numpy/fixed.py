import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.default_rng(0)
torch.manual_seed(0)


def tones(n, length=256):
    kinds = rng.integers(0, 3, n)
    t = np.arange(length) / length
    freq = np.array([6.0, 14.0, 30.0])[kinds][:, None] * rng.uniform(0.9, 1.1, (n, 1))
    gain = np.exp(rng.normal(1.0, 1.0, (n, 1)))
    waves = gain * np.sin(2 * np.pi * (freq * t + rng.random((n, 1)))) + 0.3 * rng.normal(size=(n, length))
    return torch.from_numpy(waves.astype(np.float32)).unsqueeze(1), torch.from_numpy(kinds)


def squash(x):
    # loud and quiet recordings should look alike to the classifier
    return torch.asinh(x)


class ToneNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.filterbank = nn.Conv1d(1, 16, kernel_size=33, stride=4)
        self.mix = nn.Conv1d(16, 24, kernel_size=5, stride=2)
        self.out = nn.Linear(24, 3)

    def forward(self, x):
        bands = squash(self.filterbank(x))
        h = F.relu(self.mix(bands.abs()))
        return self.out(h.mean(dim=2))


x_train, y_train = tones(512)
x_test, y_test = tones(128)
net = ToneNet()
opt = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-3)

for epoch in range(8):
    net.train()
    losses = []
    for idx in torch.randperm(len(x_train)).split(64):
        opt.zero_grad()
        loss = F.cross_entropy(net(x_train[idx]), y_train[idx])
        loss.backward()
        opt.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        acc = (net(x_test).argmax(1) == y_test).float().mean().item()
    print(f"{epoch=} loss={np.mean(losses):.4f} acc={acc:.3f}")

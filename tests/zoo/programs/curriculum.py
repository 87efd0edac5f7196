"""Progressive resizing and growing sequences: the shapes change from epoch to epoch."""
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
cnn = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
opt = torch.optim.Adam(cnn.parameters(), lr=3e-2)
images = torch.randn(128, 1, 16, 16) * 0.3
labels = torch.randint(2, (128,))
images[labels == 1] += torch.tensor([1.0, -1.0]).repeat(8)[None, None, None, :]
losses = []
for epoch, size in enumerate([8, 10, 12, 16, 16, 16]):
    batch_size = 64 * 8 // size
    for pick in torch.randperm(128).split(batch_size):
        small = images[pick][..., :size, :size]
        loss = F.cross_entropy(cnn(small), labels[pick])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())

rnn, out = nn.GRU(1, 16), nn.Linear(16, 1)
opt = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=1e-2)
sums = []
for length in [2] * 15 + [4] * 15 + [6] * 15:
    bits = torch.randint(2, (length, 32, 1)).float()
    _, h = rnn(bits)
    loss = F.mse_loss(out(h[0]), bits.mean(0))
    opt.zero_grad()
    loss.backward()
    opt.step()
    sums.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5]) and sum(sums[-5:]) < sum(sums[:5]), (losses, sums)

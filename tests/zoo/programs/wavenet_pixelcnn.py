"""Causal dilated convolutions over time, and a masked convolution over pixels."""
import torch
from torch import nn
from torch.nn import functional as F


class CausalConv1d(nn.Conv1d):
    def forward(self, x):
        return super().forward(F.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


class WaveNet(nn.Module):
    def __init__(self, classes=8, width=16):
        super().__init__()
        self.inp = nn.Embedding(classes, width)
        self.filters = nn.ModuleList(CausalConv1d(width, width, 2, dilation=2**i) for i in range(3))
        self.gates = nn.ModuleList(CausalConv1d(width, width, 2, dilation=2**i) for i in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(3))
        self.out = nn.Conv1d(width, classes, 1)

    def forward(self, x):
        h, skip = self.inp(x).transpose(1, 2), 0
        for f, g, s in zip(self.filters, self.gates, self.skips):
            z = torch.tanh(f(h)) * torch.sigmoid(g(h))
            skip = skip + s(z)
            h = h + z
        return self.out(F.relu(skip))


class MaskedConv2d(nn.Conv2d):
    def __init__(self, mask_type, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("mask", torch.ones_like(self.weight))
        _, _, h, w = self.weight.shape
        self.mask[:, :, h // 2, w // 2 + (mask_type == "B") :] = 0
        self.mask[:, :, h // 2 + 1 :] = 0

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


torch.manual_seed(0)
net = WaveNet()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
losses = []
for step in range(40):
    start = torch.randint(8, (16, 1))
    seq = (start + torch.arange(17) * 3) % 8
    logits = net(seq[:, :-1])
    loss = F.cross_entropy(logits, seq[:, 1:])
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

pixel = nn.Sequential(MaskedConv2d("A", 1, 8, 3, padding=1), nn.ReLU(), MaskedConv2d("B", 8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
opt = torch.optim.Adam(pixel.parameters(), lr=1e-2)
losses = []
for step in range(40):
    images = (torch.arange(8) % 2).float().expand(16, 1, 8, 8).clone()
    images[torch.rand(16) > 0.5] = 0
    loss = F.binary_cross_entropy_with_logits(pixel(images), images)
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

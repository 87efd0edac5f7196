"""Segmentation by a small U-Net with focal and soft Dice losses."""
import torch
from torch import nn
from torch.nn import functional as F


class FocalLoss(nn.Module):
    def __init__(self, alpha=0.25, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits, targets):
        bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        pt = torch.exp(-bce)
        weight = self.alpha * targets + (1 - self.alpha) * (1 - targets)
        return (weight * (1 - pt) ** self.gamma * bce).mean()


def dice(logits, targets, smooth=1.0):
    p = torch.sigmoid(logits)
    inter = (p * targets).sum(dim=(1, 2, 3))
    union = p.sum(dim=(1, 2, 3)) + targets.sum(dim=(1, 2, 3))
    return 1 - ((2 * inter + smooth) / (union + smooth)).mean()


def double(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2, self.u1 = double(1, 6), double(6, 12), double(18, 6)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        return self.out(self.u1(torch.cat([a, self.up(b)], dim=1)))


torch.manual_seed(0)
masks = torch.zeros(48, 1, 12, 12)
for i in range(48):
    r, c = torch.randint(0, 7, (2,)).tolist()
    masks[i, :, r : r + 5, c : c + 5] = 1
images = masks + 0.5 * torch.randn_like(masks)
net, focal = UNet(), FocalLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
losses = []
for epoch in range(5):
    net.train()
    for x, y in zip(images.split(8), masks.split(8)):
        out = net(x)
        loss = focal(out, y) + dice(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        pred = net(images) > 0
        iou = (pred & (masks > 0)).sum((1, 2, 3)) / (pred | (masks > 0)).sum((1, 2, 3)).clamp(min=1)
assert losses[-1] < losses[0]

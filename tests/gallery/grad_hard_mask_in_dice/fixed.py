import torch
from torch import nn
import torch.nn.functional as F


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


class SmallUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = block(1, 8)
        self.down2 = block(8, 16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.merge = block(16, 8)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, img):
        a = self.down1(img)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.merge(torch.cat([a, self.up(b)], 1))
        return self.last(c)


def dice_loss(logits, target, eps=1.0):
    mask = torch.sigmoid(logits)
    inter = (mask * target).sum(dim=(1, 2, 3))
    total = mask.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return 1 - ((2 * inter + eps) / (total + eps)).mean()


def discs(n, size=24):
    """Noisy pictures of one disc each, and where the disc is."""
    yy, xx = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    cy, cx = torch.randint(6, size - 6, (2, n, 1, 1))
    r = torch.randint(3, 7, (n, 1, 1))
    truth = ((yy - cy) ** 2 + (xx - cx) ** 2 <= r**2).float().unsqueeze(1)
    return truth + 0.5 * torch.randn(n, 1, size, size), truth


def iou(model, images, truth):
    model.eval()
    with torch.no_grad():
        found = model(images) > 0
    both = (found & truth.bool()).sum()
    return (both / (found | truth.bool()).sum()).item()


torch.manual_seed(5)
images, truth = discs(160)
val_images, val_truth = discs(40)
unet = SmallUNet()
optimizer = torch.optim.Adam(unet.parameters(), lr=1e-2)

for epoch in range(4):
    unet.train()
    epoch_loss = 0.0
    for i in range(0, len(images), 16):
        optimizer.zero_grad()
        loss = dice_loss(unet(images[i : i + 16]), truth[i : i + 16])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() / 10
    print("epoch", epoch, "dice loss", round(epoch_loss, 4), "val IoU", round(iou(unet, val_images, val_truth), 3))

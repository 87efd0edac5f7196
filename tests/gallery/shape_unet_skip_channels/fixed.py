import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Vessels(Dataset):
    """Curved bright lines to be segmented on a noisy ground."""

    def __init__(self, n):
        t = torch.linspace(0, 1, 200)
        self.images, self.masks = [], []
        for _ in range(n):
            a, b, c = torch.rand(3)
            row = (16 + 12 * torch.sin(6 * a * t + 6 * b)).long()
            col = ((0.2 + 0.8 * c) * 31 * t).long()
            mask = torch.zeros(1, 32, 32)
            mask[0, row, col] = 1.0
            mask = F.max_pool2d(mask, 3, stride=1, padding=1)
            self.masks.append(mask)
            self.images.append(mask + 0.5 * torch.randn(1, 32, 32))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, idx):
        return {"image": self.images[idx], "mask": self.masks[idx]}


def block(c_in, c_out):
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc1 = block(1, 16)
        self.enc2 = block(16, 32)
        self.mid = block(32, 32)
        self.dec2 = block(64, 32)
        self.dec1 = block(48, 16)
        self.final = nn.Conv2d(16, 1, 1)

    @staticmethod
    def up(x):
        return F.interpolate(x, scale_factor=2, mode="nearest")

    def forward(self, x):
        s1 = self.enc1(x)
        s2 = self.enc2(F.max_pool2d(s1, 2))
        x = self.mid(F.max_pool2d(s2, 2))
        x = self.dec2(torch.cat([self.up(x), s2], dim=1))
        x = self.dec1(torch.cat([self.up(x), s1], dim=1))
        return self.final(x)


def dice_loss(logits, mask):
    p = logits.sigmoid()
    overlap = (p * mask).sum(dim=(1, 2, 3))
    return 1 - (2 * overlap / (p.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3)) + 1e-6)).mean()


torch.manual_seed(1)
loader = DataLoader(Vessels(96), batch_size=12, shuffle=True)
unet = UNet()
optimizer = torch.optim.AdamW(unet.parameters(), lr=5e-3)
for epoch in range(3):
    unet.train()
    losses = []
    for batch in loader:
        optimizer.zero_grad()
        logits = unet(batch["image"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["mask"]) + dice_loss(logits, batch["mask"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}  loss {sum(losses) / len(losses):.3f}")

"""Patches by reshape and permute, a class token, learned positions; a masked autoencoder on the same."""
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attn = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


class Block(nn.Module):
    def __init__(self, dim, heads, drop_path=0.1):
        super().__init__()
        self.n1, self.attn, self.n2 = nn.LayerNorm(dim), Attention(dim, heads), nn.LayerNorm(dim)
        self.mlp, self.drop_path = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)), drop_path

    def path(self, x):
        if not self.training:
            return x
        keep = torch.rand(x.shape[0], 1, 1) > self.drop_path
        return x * keep / (1 - self.drop_path)

    def forward(self, x):
        x = x + self.path(self.attn(self.n1(x)))
        return x + self.path(self.mlp(self.n2(x)))


class ViT(nn.Module):
    def __init__(self, dim=16, patch=4):
        super().__init__()
        self.patch = patch
        self.embed, self.cls = nn.Linear(patch * patch, dim), nn.Parameter(torch.zeros(1, 1, dim))
        self.pos, self.blocks = nn.Parameter(0.02 * torch.randn(1, 10, dim)), nn.Sequential(Block(dim, 2), Block(dim, 2))
        self.norm, self.head, self.pixels = nn.LayerNorm(dim), nn.Linear(dim, 2), nn.Linear(dim, patch * patch)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))

    def patchify(self, imgs):
        n, _, h, w = imgs.shape
        p = self.patch
        x = imgs.reshape(n, 1, h // p, p, w // p, p)
        return torch.einsum("nchpwq->nhwpqc", x).reshape(n, (h // p) * (w // p), p * p)

    def forward(self, imgs, mask=None):
        x = self.embed(self.patchify(imgs))
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), self.mask_token, x)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.pos
        x = self.norm(self.blocks(x))
        return self.head(x[:, 0]), self.pixels(x[:, 1:])


torch.manual_seed(0)
labels = torch.arange(96) % 2
images = 0.3 * torch.randn(96, 1, 12, 12)
images[labels == 1, :, :4, 4:8] += 1
vit = ViT()
opt = torch.optim.AdamW(vit.parameters(), lr=3e-3, weight_decay=0.05)
pre = []
for step in range(12):
    pick = torch.randint(96, (32,))
    mask = torch.rand(32, 9) < 0.5
    _, pixels = vit(images[pick], mask)
    loss = ((pixels - vit.patchify(images[pick])) ** 2).mean(-1)
    loss = (loss * mask).sum() / mask.sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
    pre.append(loss.item())
losses = []
for epoch in range(6):
    vit.train()
    for pick in torch.randperm(96).split(24):
        loss = F.cross_entropy(vit(images[pick])[0], labels[pick])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    vit.eval()
    with torch.no_grad():
        vit(images)[0].argmax(1)
assert sum(losses[-4:]) < sum(losses[:4]) and pre[-1] < pre[0]

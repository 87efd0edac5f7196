"""CLIP-like: two towers, a learned temperature, symmetric InfoNCE over the batch."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Towers(nn.Module):
    def __init__(self, embed=8):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, embed))
        self.text = nn.EmbeddingBag(20, embed, mode="mean")
        self.logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    def forward(self, image, text):
        image = F.normalize(self.image(image), dim=-1)
        text = F.normalize(self.text(text), dim=-1)
        logits_per_image = self.logit_scale.exp() * image @ text.t()
        return logits_per_image, logits_per_image.t()


torch.manual_seed(0)
model = Towers()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2, weight_decay=0.1)
losses = []
for step in range(100):
    kind = torch.randperm(20)[:8]
    text = kind[:, None].repeat(1, 3)
    image = torch.zeros(8, 1, 8, 8)
    for i, k in enumerate(kind.tolist()):
        image[i, 0, k % 4 * 2 : k % 4 * 2 + 2, k // 4 : k // 4 + 3] = 1 + k / 10
    ground_truth = torch.arange(8)
    per_image, per_text = model(image, text)
    loss = (F.cross_entropy(per_image, ground_truth) + F.cross_entropy(per_text, ground_truth)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, np.log(100))
    losses.append(loss.item())
assert np.mean(losses[-10:]) < np.mean(losses[:10]), losses

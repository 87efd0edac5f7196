"""Fine-tuning as detectors do it: BatchNorm layers stay in eval mode while the rest trains."""
import torch
from torch import nn


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.pool, self.drop = nn.AdaptiveAvgPool2d(2), nn.Dropout(0.1)
        self.cls, self.box = nn.Linear(24, 2), nn.Linear(24, 4)

    def train(self, mode=True):
        super().train(mode)
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eval()
                m.weight.requires_grad_(False)
                m.bias.requires_grad_(False)
        return self

    def forward(self, images, targets=None):
        h = self.drop(self.pool(self.backbone(images)).flatten(1))
        scores, boxes = self.cls(h), self.box(h)
        if not self.training:
            return [{"label": s.argmax(), "box": b} for s, b in zip(scores, boxes)]
        return {"cls": nn.functional.cross_entropy(scores, targets["label"]), "box": nn.functional.smooth_l1_loss(boxes, targets["box"])}


torch.manual_seed(0)
labels = torch.randint(2, (60,))
images = torch.randn(60, 1, 10, 10) + labels[:, None, None, None]
boxes = torch.rand(60, 4) * 0.1 + labels[:, None]
model = Detector()
params = [p for p in model.train().parameters() if p.requires_grad]
optimizer = torch.optim.SGD(params, lr=0.05, momentum=0.9)
losses = []
for epoch in range(8):
    model.train()
    for pick in torch.randperm(60).split(20):
        loss_dict = model(images[pick], {"label": labels[pick], "box": boxes[pick]})
        total = sum(loss for loss in loss_dict.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    model.eval()
    with torch.no_grad():
        model(images[:5])
assert losses[-1] < losses[0]

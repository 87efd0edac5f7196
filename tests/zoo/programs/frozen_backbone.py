"""Transfer learning: a backbone from a file, frozen and in eval mode, under a new head."""
import torch
from torch import nn


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        return self.fc(self.features(x))


torch.manual_seed(0)
torch.save(Backbone().state_dict(), "backbone.pt")

model = Backbone()
model.load_state_dict(torch.load("backbone.pt"))
for param in model.parameters():
    param.requires_grad = False
model.fc = nn.Linear(model.fc.in_features, 2)
optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.05, momentum=0.9)
criterion = nn.CrossEntropyLoss()
images = torch.randn(100, 1, 8, 8)
labels = (torch.arange(100) % 2)
images[labels == 1, :, :4] += 0.8
losses = []
for epoch in range(6):
    model.train()
    model.features.eval()
    for pick in torch.randperm(100).split(25):
        optimizer.zero_grad()
        loss = criterion(model(images[pick]), labels[pick])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        _, preds = torch.max(model(images), 1)
        corrects = torch.sum(preds == labels.data)
assert losses[-1] < losses[0]

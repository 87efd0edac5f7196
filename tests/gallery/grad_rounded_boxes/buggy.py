import torch
from torch import nn


class Locator(nn.Module):
    """Where is the bright square? Row and column of its upper left corner."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 32), nn.ReLU())
        self.regress = nn.Linear(32, 2)
        self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        corners = self.regress(self.features(x)).round()
        return corners + self.offset


def squares(n):
    images, corners = 0.1 * torch.randn(n, 1, 12, 12), torch.randint(0, 9, (n, 2))
    for image, (r, c) in zip(images, corners.tolist()):
        image[0, r : r + 4, c : c + 4] += 1
    return images, corners.float()


torch.manual_seed(1)
images, corners = squares(256)
model = Locator()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
criterion = nn.SmoothL1Loss()
for epoch in range(8):
    losses = []
    for x, y in zip(images.split(32), corners.split(32)):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(epoch, sum(losses) / len(losses))

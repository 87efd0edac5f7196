import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        prototypes = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(9))
        self.a, self.b = torch.randint(5, (n,), generator=g), torch.randint(5, (n,), generator=g)
        self.b = torch.where(torch.arange(n) % 2 == 0, self.a, self.b)
        self.first = prototypes[self.a] + 0.3 * torch.randn(n, 1, 8, 8, generator=g)
        self.second = prototypes[self.b] + 0.3 * torch.randn(n, 1, 8, 8, generator=g)

    def __len__(self):
        return len(self.a)

    def __getitem__(self, i):
        return self.first[i], self.second[i], (self.a[i] == self.b[i]).float()


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(2 * 36, 32), nn.ReLU(), nn.Linear(32, 1))
        self.sigmoid = nn.Sigmoid()

    def forward_once(self, x):
        return self.cnn(x)

    def forward(self, input1, input2):
        output = torch.cat((self.forward_once(input1), self.forward_once(input2)), 1)
        return self.sigmoid(self.fc(output))


def train(model, loader, optimizer, epoch, log):
    model.train()
    criterion = nn.BCELoss()
    for batch_idx, (images_1, images_2, targets) in enumerate(loader):
        optimizer.zero_grad()
        outputs = model(images_1, images_2).squeeze(1)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        log.append(loss.item())


def test(model, loader):
    model.eval()
    test_loss, correct = 0, 0
    criterion = nn.BCELoss()
    with torch.no_grad():
        for (images_1, images_2, targets) in loader:
            outputs = model(images_1, images_2).squeeze(1)
            test_loss += criterion(outputs, targets).sum().item()
            pred = torch.where(outputs > 0.5, 1, 0)
            correct += pred.eq(targets.view_as(pred)).sum().item()
    return correct / len(loader.dataset)


torch.manual_seed(0)
log = []
model = SiameseNetwork()
optimizer = torch.optim.Adadelta(model.parameters(), lr=0.3)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
train_loader, test_loader = DataLoader(Pairs(320, 1), 32, shuffle=True), DataLoader(Pairs(64, 2), 64)
for epoch in range(1, 6):
    train(model, train_loader, optimizer, epoch, log)
    test(model, test_loader)
    scheduler.step()
assert sum(log[-10:]) < sum(log[:10])

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def mixup_data(x, y, alpha=0.4):
    lam = np.random.beta(alpha, alpha)
    index = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[index], y, y[index], lam


def mixup_criterion(criterion, pred, y_a, y_b, lam):
    return lam * criterion(pred, y_a) + (1 - lam) * criterion(pred, y_b)


def soft_cross_entropy(pred, soft_targets):
    return torch.mean(torch.sum(-soft_targets * torch.log_softmax(pred, dim=1), 1))


np.random.seed(0)
torch.manual_seed(0)
x = torch.randn(240, 8)
y = (x @ torch.randn(8, 4)).argmax(1)
loader = DataLoader(TensorDataset(x, y), batch_size=40, shuffle=True)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
losses = []
for epoch in range(6):
    net.train()
    train_loss, correct, total = 0.0, 0.0, 0
    for inputs, targets in loader:
        mixed, a, b, lam = mixup_data(inputs, targets)
        outputs = net(mixed)
        loss = mixup_criterion(criterion, outputs, a, b, lam)
        if epoch % 2:
            smooth = torch.full((len(targets), 4), 0.1 / 3).scatter_(1, targets.unsqueeze(1), 0.9)
            loss = soft_cross_entropy(net(inputs), smooth)
        _, predicted = torch.max(outputs.data, 1)
        total += targets.size(0)
        correct += lam * predicted.eq(a.data).cpu().sum().float() + (1 - lam) * predicted.eq(b.data).cpu().sum().float()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    losses.append(train_loss)
assert losses[-1] < losses[0]

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


def run_epoch(net, loader, optimizer=None):
    train = optimizer is not None
    net.train(train)
    total = 0.0
    with torch.set_grad_enabled(train):
        for features, price in loader:
            loss = nn.functional.l1_loss(net(features).flatten(), price)
            if train:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(price)
    return total / len(loader.dataset)


torch.manual_seed(0)
x = torch.rand(250, 5)
dataset = TensorDataset(x, 10 * x[:, 0] + 3 * x[:, 1])
train_set, val_set = random_split(dataset, [200, 50])
train_loader, val_loader = DataLoader(train_set, batch_size=20, shuffle=True), DataLoader(val_set, batch_size=50)
net = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Dropout(0.1), nn.Linear(20, 1))
optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1)
vals = []
for epoch in range(8):
    run_epoch(net, train_loader, optimizer)
    val = run_epoch(net, val_loader)
    scheduler.step(val)
    vals.append(val)
assert min(vals) < vals[0]

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from torchmetrics import MeanAbsoluteError


def house_prices(n=600):
    area = 40 + 160 * torch.rand(n)
    rooms = torch.randint(1, 7, (n,)).float()
    age = 80 * torch.rand(n)
    price = 2.1 * area + 18 * rooms - 0.9 * age + 15 * torch.randn(n)
    features = torch.stack([area / 200, rooms / 6, age / 80], dim=1)
    return TensorDataset(features, (price / 300).unsqueeze(1))


def build():
    return nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Dropout(0.05), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))


def train_one_epoch(net, loader, opt, loss_fn):
    net.train()
    running = 0.0
    for features, price in loader:
        pred = net(features)
        loss = loss_fn(pred, price)
        opt.zero_grad()
        loss.backward()
        opt.step()
        running += loss.item() * len(features)
    return running / len(loader.dataset)


def validate(net, loader, metric):
    net.eval()
    metric.reset()
    torch.set_grad_enabled(False)
    for features, price in loader:
        metric.update(net(features), price)
    return metric.compute().item()


if __name__ == "__main__":
    torch.manual_seed(1234)
    train_set, valid_set = random_split(house_prices(), [480, 120])
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    valid_loader = DataLoader(valid_set, batch_size=120)
    net = build()
    opt = torch.optim.RMSprop(net.parameters(), lr=2e-3)
    mae = MeanAbsoluteError()
    for epoch in range(5):
        train_loss = train_one_epoch(net, train_loader, opt, nn.HuberLoss())
        print(f"{epoch:2d}  train {train_loss:.5f}  val MAE {validate(net, valid_loader, mae):.4f}")

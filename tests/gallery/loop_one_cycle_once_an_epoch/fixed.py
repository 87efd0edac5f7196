import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def fashion(n):
    kind = torch.randint(0, 3, (n,))
    picture = 0.5 * torch.rand(n, 1, 8, 8)
    for i, k in enumerate(kind.tolist()):
        picture[i, 0, :, 2 * k : 2 * k + 3] += 0.6
    return TensorDataset(picture, kind)


def main():
    torch.manual_seed(5)
    epochs = 6
    loader = DataLoader(fashion(320), batch_size=32, shuffle=True)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, epochs=epochs, steps_per_epoch=len(loader))
    for epoch in range(epochs):
        total = 0.0
        for picture, kind in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(picture), kind)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"{epoch} {total / len(loader):.4f} lr {schedule.get_last_lr()[0]:.5f}")


if __name__ == "__main__":
    main()

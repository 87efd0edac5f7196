import torch
from torch import nn

torch.manual_seed(8)
net = nn.Sequential(nn.Linear(30, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 4))
for layer in net:
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if layer.out_features > 4 else "linear")
        nn.init.zeros_(layer.bias)

spectra = torch.randn(512, 30)
mineral = (spectra[:, :8] @ torch.randn(8, 4)).argmax(dim=1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for epoch in range(6):
    losses = []
    for rows, label in zip(spectra.split(64), mineral.split(64)):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(rows), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}: {losses[0]:.3f} ... {losses[-1]:.3f}")

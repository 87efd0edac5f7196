import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(11)
epochs = 10
signal = torch.randn(480, 16)
power = signal.square().mean(1)
batches = DataLoader(TensorDataset(signal, power), batch_size=32, shuffle=True)
meter = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))
opt = torch.optim.AdamW(meter.parameters(), lr=6e-3)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=epochs)
for epoch in range(epochs):
    meter.train()
    errors = []
    for rows, wanted in batches:
        error = (meter(rows) - wanted).pow(2).mean()
        opt.zero_grad()
        error.backward()
        opt.step()
        errors.append(error.item())
    cosine.step()
    print(f"epoch {epoch}: {sum(errors) / len(errors):.5f}")

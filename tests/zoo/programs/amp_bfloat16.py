import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
images = torch.randn(96, 1, 8, 8)
labels = (images.mean((1, 2, 3)) > 0).long()
images = images + (labels * 2 - 1)[:, None, None, None] * 0.5
train_loader = DataLoader(TensorDataset(images, labels), batch_size=24, shuffle=True, drop_last=True)
net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(32, 2))
opt = torch.optim.AdamW(net.parameters(), lr=5e-3)
scaler = torch.amp.GradScaler("cpu", enabled=False)
losses = []
for epoch in range(6):
    net.train()
    for input, target in train_loader:
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            output = net(input)
            loss = nn.functional.cross_entropy(output, target)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad(set_to_none=True)
        losses.append(loss.item())
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        accuracy = (net(images).argmax(1) == labels).float().mean()
assert losses[-1] < losses[0]

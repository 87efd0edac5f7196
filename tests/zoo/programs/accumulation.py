import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X = torch.randn(200, 5)
y = (X.sum(1) > 0).long()
train_loader = DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)
model = nn.Sequential(nn.Linear(5, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
accumulation_steps = 4
epoch_losses = []

for epoch in range(5):
    running_loss = 0
    optimizer.zero_grad()
    for i, (inputs, labels) in enumerate(train_loader):
        loss = criterion(model(inputs), labels)
        (loss / accumulation_steps).backward()
        running_loss += loss.item()
        if (i + 1) % accumulation_steps == 0 or i + 1 == len(train_loader):
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            optimizer.zero_grad()
    epoch_losses.append(running_loss / len(train_loader))

assert epoch_losses[-1] < epoch_losses[0]

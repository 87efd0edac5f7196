import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(6)
species = torch.arange(5).repeat_interleave(90)
songs = torch.randn(5, 12)[species] + 0.8 * torch.randn(450, 12)
dataset = TensorDataset(songs, species)
train = DataLoader(dataset, batch_size=30)
birds = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5))
optimizer = torch.optim.SGD(birds.parameters(), lr=0.05)
criterion = nn.CrossEntropyLoss()
for epoch in range(6):
    total, right = 0.0, 0
    for song, kind in train:
        optimizer.zero_grad()
        out = birds(song)
        loss = criterion(out, kind)
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += int((out.argmax(dim=1) == kind).sum())
    print(f"epoch {epoch}: loss {total / len(train):.4f}, right {right / 450:.3f}")

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
petals = torch.cat([torch.randn(80, 4) * 0.5 + centre for centre in torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 2, 0]])])
species = torch.arange(3).repeat_interleave(80)
loader = DataLoader(TensorDataset(petals, species), batch_size=24, shuffle=True)

classifier = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
criterion = nn.NLLLoss()
optimizer = torch.optim.Adam(classifier.parameters(), lr=5e-3)
for epoch in range(8):
    total, right = 0.0, 0
    for x, y in loader:
        scores = classifier(x)
        loss = criterion(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += (scores.argmax(1) == y).sum().item()
    print(f"epoch {epoch}: loss {total / len(loader):.3f} accuracy {right / 240:.3f}")

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import multiclass_accuracy


def make_data(n=600, classes=4):
    g = torch.Generator().manual_seed(8)
    centres = 2 * torch.randn(classes, 9, generator=g)
    label = torch.randint(classes, (n,), generator=g)
    return TensorDataset(centres[label] + torch.randn(n, 9, generator=g), label)


def train_one_epoch(model, loader, optimizer):
    all_logits, all_labels = [], []
    model.train()
    for rows, labels in loader:
        logits = model(rows)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        all_logits.append(logits.detach())
        all_labels.append(labels)
    return multiclass_accuracy(torch.cat(all_logits), torch.cat(all_labels), num_classes=4).item()


torch.manual_seed(8)
model = nn.Sequential(nn.Linear(9, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
loader = DataLoader(make_data(), batch_size=20, shuffle=True)
for epoch in range(4):
    print(f"epoch {epoch}: training accuracy {train_one_epoch(model, loader, optimizer):.3f}")

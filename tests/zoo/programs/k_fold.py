import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset


def reset_weights(m):
    if hasattr(m, "reset_parameters"):
        m.reset_parameters()


torch.manual_seed(0)
rng = np.random.default_rng(0)
x = torch.randn(150, 5)
dataset = TensorDataset(x, (x.sum(1) > 0).float())
folds = np.array_split(rng.permutation(150), 5)
model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 1), nn.Flatten(0))
scores = []
for k, test_idx in enumerate(folds):
    train_idx = np.concatenate([f for i, f in enumerate(folds) if i != k])
    model.apply(reset_weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    criterion = nn.BCEWithLogitsLoss()
    if k % 2:
        train_loader = DataLoader(dataset, batch_size=20, sampler=SubsetRandomSampler(train_idx.tolist()))
    else:
        train_loader = DataLoader(Subset(dataset, train_idx.tolist()), batch_size=20, shuffle=True)
    test_loader = DataLoader(Subset(dataset, test_idx.tolist()), batch_size=30)
    losses = []
    for epoch in range(4):
        model.train()
        for xb, yb in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        scores.append(np.mean([((model(xb) > 0).float() == yb).float().mean().item() for xb, yb in test_loader]))
    assert losses[-1] < losses[0]
assert np.mean(scores) > 0.6

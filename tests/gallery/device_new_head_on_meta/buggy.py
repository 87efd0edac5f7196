"""Transfer learning on spectra: the body was trained on ten minerals, the new task has four."""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BINS = 50


class SpectrumNet(nn.Module):
    def __init__(self, minerals):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(BINS, 64), nn.ReLU(), nn.Linear(64, 48), nn.ReLU())
        self.head = nn.Linear(48, minerals)

    def forward(self, spectrum):
        return self.head(self.body(spectrum))


def spectra(minerals, n, noise=0.4):
    peaks = torch.rand(minerals, 3, 1) * BINS
    lines = torch.exp(-((torch.arange(BINS) - peaks) ** 2) / 8).sum(dim=1)
    labels = torch.randint(0, minerals, (n,))
    return TensorDataset(lines[labels] + noise * torch.randn(n, BINS), labels)


def train(model, data, epochs, lr):
    loader = DataLoader(data, batch_size=40, shuffle=True)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=lr)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for spectrum, label in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(spectrum), label)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"  {epoch}: {total / len(loader):.3f}")
    return copy.deepcopy(model.state_dict())


def for_new_task(weights, minerals):
    """The old body, not trained any further, under a new head."""
    with torch.device("meta"):
        model = SpectrumNet(minerals=10)
        model.head = nn.Linear(48, minerals)
    kept = {name: value for name, value in weights.items() if name.startswith("body.")}
    model.load_state_dict(kept, strict=False, assign=True)
    for p in model.body.parameters():
        p.requires_grad_(False)
    return model


if __name__ == "__main__":
    torch.manual_seed(16)
    print("ten minerals")
    weights = train(SpectrumNet(10), spectra(10, 800), epochs=4, lr=3e-3)
    print("four new ones")
    model = for_new_task(weights, minerals=4)
    train(model, spectra(4, 400), epochs=5, lr=1e-2)

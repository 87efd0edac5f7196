"""Next-note prediction: learn scales in C, keep the weights, go on with scales in another key."""

import tempfile
from pathlib import Path

import torch
from torch import nn

NOTES = 24


class Melody(nn.Module):
    def __init__(self, width: int = 32):
        super().__init__()
        self.note = nn.Embedding(NOTES, 16)
        self.gru = nn.GRU(16, width, batch_first=True)
        self.predict = nn.Linear(width, NOTES)
        self.silence = torch.zeros(1, 1, width)

    def forward(self, notes):
        start = self.silence.expand(-1, len(notes), -1).contiguous()
        states, _ = self.gru(self.note(notes), start)
        return self.predict(states)


def scales(key: int, n: int = 320, length: int = 12):
    """Walks up and down the major scale of a key."""
    major = torch.tensor([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    place = torch.randint(0, 10, (n, 1))
    direction = torch.where(torch.rand(n, 1) < 0.5, 1, -1)
    walk = (place + direction * torch.arange(length + 1)) % 10
    melody = (major[walk] + key) % NOTES
    return melody[:, :-1], melody[:, 1:]


def train(model, notes, following, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss_fn = nn.CrossEntropyLoss()
    model.train()
    for epoch in range(epochs):
        for rows in torch.randperm(len(notes)).split(32):
            logits = model(notes[rows])
            loss = loss_fn(logits.transpose(1, 2), following[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        print(f"  epoch {epoch}: {loss.item():.3f}")


def load(path: Path) -> Melody:
    """Build the network without allocating or initialising it, then put the stored weights in."""
    with torch.device("meta"):
        model = Melody()
    model.load_state_dict(torch.load(path, weights_only=True), assign=True)
    return model


def main():
    torch.manual_seed(23)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "melody.pt"
        print("in C")
        model = Melody()
        train(model, *scales(key=0), epochs=3)
        torch.save(model.state_dict(), weights)
        print("in F")
        train(load(weights), *scales(key=5), epochs=3)


main()

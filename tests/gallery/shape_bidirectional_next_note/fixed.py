import torch
from torch import nn


class Melody(nn.Module):
    """Predicts, at each note, the next one."""

    def __init__(self, notes=10):
        super().__init__()
        self.embed = nn.Embedding(notes, 16)
        self.rnn = nn.GRU(16, 16, batch_first=True)
        self.next = nn.LazyLinear(notes)

    def forward(self, melody):
        return self.next(self.rnn(self.embed(melody))[0])


def melodies(n):
    start = torch.randint(0, 10, (n, 1))
    step = torch.randint(1, 4, (n, 1))
    jumps = (torch.rand(n, 13) < 0.2).long().cumsum(1)
    return (start + step * torch.arange(13) + 2 * jumps) % 10


torch.manual_seed(2)
model = Melody()
model(melodies(1)[:, :-1])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for iteration in range(120):
    notes = melodies(32)
    logits = model(notes[:, :-1])
    loss = criterion(logits.transpose(1, 2), notes[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if iteration % 30 == 29:
        print(iteration + 1, f"{loss.item():.4f}")

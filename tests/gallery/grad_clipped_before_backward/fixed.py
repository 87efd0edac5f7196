import torch
from torch import nn

torch.manual_seed(15)


class Adder(nn.Module):
    """The adding problem: the sum of the two marked numbers of a sequence."""

    def __init__(self, hidden=24):
        super().__init__()
        self.rnn = nn.RNN(2, hidden, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1]).squeeze(-1)


def sequences(n, length=12):
    values, marks = torch.rand(n, length), torch.zeros(n, length)
    marks.scatter_(1, torch.rand(n, length).topk(2).indices, 1.0)
    return torch.stack([values, marks], -1), (values * marks).sum(1)


model = Adder()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for step in range(1, 161):
    x, y = sequences(64)
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    if step % 40 == 0:
        print(f"step {step}: {loss.item():.4f}")

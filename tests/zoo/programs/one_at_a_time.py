"""Stochastic descent proper: batches of one, unbatched inputs, scalars squeezed on purpose; a char RNN by cells."""
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.05)
losses = []
for i in range(150):
    x = torch.randn(3)
    y = x.sum()
    loss = (net(x).squeeze() - y) ** 2
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-30:]) < sum(losses[:30])


class CharRNN(nn.Module):
    def __init__(self, size=4, hidden=16):
        super().__init__()
        self.hidden = hidden
        self.i2h, self.h2o, self.softmax = nn.Linear(size + hidden, hidden), nn.Linear(hidden, 3), nn.LogSoftmax(dim=1)

    def forward(self, letter, hidden):
        hidden = torch.tanh(self.i2h(torch.cat((letter, hidden), 1)))
        return self.softmax(self.h2o(hidden)), hidden


rnn, criterion, running = CharRNN(), nn.NLLLoss(), []
for i in range(200):
    category = torch.randint(3, (1,))
    line = nn.functional.one_hot(category + torch.randint(2, (4,)), 4).float().unsqueeze(1)
    hidden = torch.zeros(1, rnn.hidden)
    rnn.zero_grad()
    for letter in line:
        output, hidden = rnn(letter, hidden)
    loss = criterion(output, category)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-0.05)
    running.append(loss.item())
assert sum(running[-40:]) < sum(running[:40])

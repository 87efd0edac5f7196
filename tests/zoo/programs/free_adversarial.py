"""'Free' adversarial training: one backward for the weights and for the perturbation."""
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 2))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
delta = torch.zeros(40, 5, requires_grad=True)
losses = []
for epoch in range(5):
    x = torch.randn(40, 5)
    y = (x.sum(1) > 0).long()
    for replay in range(4):
        loss = nn.functional.cross_entropy(net(x + delta), y)
        opt.zero_grad()
        loss.backward()
        delta.data = (delta.data + 0.05 * delta.grad.sign()).clamp(-0.1, 0.1)
        delta.grad.zero_()
        opt.step()
        losses.append(loss.item())
assert losses[-1] < losses[0]

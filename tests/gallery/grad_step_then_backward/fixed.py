import torch
from torch import nn

torch.manual_seed(44)
spam_words = torch.randn(12, 1)
net = nn.Linear(12, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.5)
for i in range(200):
    x = torch.randn(50, 12)
    y = (x @ spam_words > 0).float()
    loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 40 == 39:
        print(i + 1, loss.item())

"""Accumulation written the other way round: the step is at the head of the next round, and scheduler with it."""
import torch
import torch.nn as nn

torch.manual_seed(4)
net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
sched = torch.optim.lr_scheduler.LinearLR(opt, start_factor=0.1, total_iters=5)
micro = 0
record = []
for epoch in range(6):
    inputs = torch.randn(96, 3)
    wanted = inputs.prod(1, keepdim=True).tanh() + inputs[:, :1]
    for xb, yb in zip(inputs.split(8), wanted.split(8)):
        if micro and micro % 3 == 0:
            opt.step()
            sched.step()
            opt.zero_grad(set_to_none=False)
        loss = nn.functional.huber_loss(net(xb), yb)
        loss.div(3).backward()
        micro += 1
        record.append(loss.item())
opt.step()
assert sum(record[-12:]) < sum(record[:12])

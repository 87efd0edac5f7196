"""MAML with autograd.grad and create_graph, first and second order, as it was written before torch.func."""
import torch
from torch import nn
from torch.nn import functional as F


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.vars = nn.ParameterList([nn.Parameter(0.3 * torch.randn(20, 1)), nn.Parameter(torch.zeros(20)), nn.Parameter(0.3 * torch.randn(1, 20)), nn.Parameter(torch.zeros(1))])

    def forward(self, x, vars=None):
        w1, b1, w2, b2 = self.vars if vars is None else vars
        return F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2)


torch.manual_seed(0)
learner = Learner()
meta_optim = torch.optim.Adam(learner.parameters(), lr=1e-2)
history = []
for it in range(60):
    losses_q = 0
    for task in range(4):
        a = 3 * torch.rand(1) - 1.5
        x_spt, x_qry = torch.randn(10, 1), torch.randn(10, 1)
        fast = list(learner.parameters())
        for k in range(2):
            loss = F.mse_loss(learner(x_spt, fast), a * x_spt)
            grads = torch.autograd.grad(loss, fast, create_graph=it > 10)
            fast = [p - 0.1 * g for p, g in zip(fast, grads)]
        losses_q = losses_q + F.mse_loss(learner(x_qry, fast), a * x_qry)
    loss_q = losses_q / 4
    meta_optim.zero_grad()
    loss_q.backward()
    meta_optim.step()
    history.append(loss_q.item())
assert sum(history[-10:]) < sum(history[:10])

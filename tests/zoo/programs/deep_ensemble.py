"""Ten members at once by vmap over stacked states, with per-sample gradients on the way."""
import copy

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

torch.manual_seed(0)
members = [nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(4)]
params, buffers = stack_module_state(members)
base = copy.deepcopy(members[0]).to("meta")


def predict(p, b, x):
    return functional_call(base, (p, b), (x,))


optimizer = torch.optim.Adam(params.values(), lr=1e-2)
losses = []
for step in range(50):
    x = torch.randn(32, 3)
    y = x[:, :1] * 2
    out = vmap(predict, in_dims=(0, 0, None))(params, buffers, x)
    loss = (out - y).pow(2).mean(dim=(1, 2)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

# differentially private: gradients of each sample, clipped, summed, noised, set by hand
net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.2)


def sample_loss(p, xi, yi):
    return (functional_call(net, p, xi.unsqueeze(0)).squeeze(0) - yi).pow(2).mean()


losses = []
for step in range(40):
    x = torch.randn(32, 3)
    y = x[:, :1] * 2
    detached = {k: v.detach() for k, v in net.named_parameters()}
    grads = vmap(grad(sample_loss), in_dims=(None, 0, 0))(detached, x, y)
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in grads.values()]).norm(dim=0)
    factor = (1.0 / (norms + 1e-6)).clamp(max=1)
    for name, p in net.named_parameters():
        g = torch.einsum("n,n...->...", factor, grads[name])
        p.grad = (g + 0.01 * torch.randn_like(g)) / len(x)
    opt.step()
    opt.zero_grad()
    with torch.no_grad():
        losses.append(nn.functional.mse_loss(net(x), y).item())
assert losses[-1] < losses[0]

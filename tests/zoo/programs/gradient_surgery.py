"""PCGrad, GradNorm, hooks on gradients, an optimizer per layer inside backward, steps that are skipped."""
import torch
from torch import nn

torch.manual_seed(0)
trunk, heads = nn.Linear(4, 16), nn.ModuleList([nn.Linear(16, 1), nn.Linear(16, 1)])
params = [*trunk.parameters(), *heads.parameters()]
opt = torch.optim.Adam(params, lr=1e-2)


def task_losses(x):
    h = torch.tanh(trunk(x))
    return [(heads[0](h) - x[:, :1]).pow(2).mean(), (heads[1](h) + x[:, :1]).pow(2).mean()]


losses = []
for step in range(40):
    both = task_losses(torch.randn(32, 4))
    grads = []
    for i, each in enumerate(both):
        opt.zero_grad()
        each.backward(retain_graph=i == 0)
        grads.append(torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in params]))
    dot = grads[0] @ grads[1]
    merged = grads[0] + grads[1]
    if dot < 0:
        merged = merged - dot / grads[1].pow(2).sum() * grads[1] - dot / grads[0].pow(2).sum() * grads[0]
    start = 0
    for p in params:
        p.grad = merged[start : start + p.numel()].view_as(p).clone()
        start += p.numel()
    opt.step()
    losses.append(sum(both).item())
assert losses[-1] < losses[0]

weights = torch.nn.Parameter(torch.ones(2))
w_opt = torch.optim.Adam([weights], lr=1e-2)
for step in range(20):
    both = torch.stack(task_losses(torch.randn(32, 4)))
    opt.zero_grad()
    (weights.detach() * both).sum().backward(retain_graph=True)
    norms = torch.stack([torch.autograd.grad(weights[i] * both[i], trunk.weight, retain_graph=True, create_graph=True)[0].norm() for i in range(2)])
    balance = (norms - norms.mean().detach()).abs().sum()
    w_opt.zero_grad()
    balance.backward(inputs=[weights])
    w_opt.step()
    opt.step()

model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer_dict = {p: torch.optim.SGD([p], lr=0.05) for p in model.parameters()}


def optimizer_hook(parameter):
    optimizer_dict[parameter].step()
    optimizer_dict[parameter].zero_grad()


handles = [p.register_post_accumulate_grad_hook(optimizer_hook) for p in model.parameters()]
losses = []
for step in range(40):
    x = torch.randn(32, 4)
    loss = (model(x) - x[:, :1]).pow(2).mean()
    loss.backward()
    losses.append(loss.item())
for handle in handles:
    handle.remove()
assert losses[-1] < losses[0]

model[0].weight.register_hook(lambda g: g.clamp(-0.1, 0.1))
opt = torch.optim.SGD(model.parameters(), lr=0.02)
for step in range(30):
    x = torch.randn(32, 4)
    if step % 7 == 3:
        continue
    loss = (model(x) - x[:, 1:2]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    if not torch.isfinite(norm) or step % 11 == 5:
        continue
    opt.step()

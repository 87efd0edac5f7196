"""u'' + u = 0 with u(0) = 0 and u'(0) = 1 by a network whose derivatives are taken at collocation points."""
import torch
from torch import autograd, nn

torch.manual_seed(0)
u = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(u.parameters(), lr=5e-3)


def derivative(y, x):
    return autograd.grad(y, x, grad_outputs=torch.ones_like(y), create_graph=True)[0]


losses = []
t_boundary = torch.zeros(1, 1, requires_grad=True)
for epoch in range(200):
    t_physics = (3 * torch.rand(40, 1)).requires_grad_(True)
    value = u(t_physics)
    du = derivative(value, t_physics)
    residual = derivative(du, t_physics) + value
    at_zero = u(t_boundary)
    loss = residual.pow(2).mean() + (torch.squeeze(at_zero) - 0).pow(2) + (torch.squeeze(derivative(at_zero, t_boundary)) - 1).pow(2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
with torch.no_grad():
    grid = torch.linspace(0, 1, 10).unsqueeze(1)
    error = (u(grid) - grid.sin()).abs().max()
assert losses[-1] < 0.2 * losses[0], (losses[0], losses[-1], error)

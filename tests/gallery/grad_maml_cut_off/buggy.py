"""Model-agnostic meta-learning of sine curves with torch.func."""
import math

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

INNER_LR = 0.05
SHOTS = 10

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))


def sample_tasks(count: int, generator: torch.Generator):
    amplitude = 1 + 2 * torch.rand(count, 1, 1, generator=generator)
    phase = math.pi * torch.rand(count, 1, 1, generator=generator)
    x = 10 * torch.rand(count, 2 * SHOTS, 1, generator=generator) - 5
    y = amplitude * torch.sin(x + phase)
    return x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:], y[:, SHOTS:]


def mse(weights, x, y):
    return ((functional_call(model, weights, (x,)) - y) ** 2).mean()


def loss_after_one_step(weights, x_support, y_support, x_query, y_query):
    gradients = grad(mse)(weights, x_support, y_support)
    adapted = {name: w - INNER_LR * gradients[name] for name, w in weights.items()}
    return mse(adapted, x_query, y_query)


def meta_loss(tasks):
    weights = {name: w.detach() for name, w in model.named_parameters()}
    per_task = vmap(loss_after_one_step, in_dims=(None, 0, 0, 0, 0))(weights, *tasks)
    return per_task.mean()


def main():
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(9)
    meta_optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    running = None
    for iteration in range(240):
        loss = meta_loss(sample_tasks(16, generator))
        meta_optimizer.zero_grad()
        loss.backward()
        meta_optimizer.step()
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if iteration % 40 == 39:
            print(f"iteration {iteration + 1}: query loss after one step {running:.3f}")


if __name__ == "__main__":
    main()

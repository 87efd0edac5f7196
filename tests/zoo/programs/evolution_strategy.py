"""OpenAI's evolution strategy: no backward anywhere, weights set in place."""
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


@torch.no_grad()
def main():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.randn(64, 3)
    y = x[:, :1] - x[:, 1:2]
    mean = parameters_to_vector(net.parameters())
    history = []
    for generation in range(40):
        noise = torch.randn(20, mean.numel())
        noise = torch.cat([noise, -noise])
        fitness = []
        for direction in noise:
            vector_to_parameters(mean + 0.1 * direction, net.parameters())
            fitness.append(-nn.functional.mse_loss(net(x), y))
        fitness = torch.stack(fitness)
        history.append(-fitness.mean().item())
        ranks = fitness.argsort().argsort().float() / (len(fitness) - 1) - 0.5
        mean = mean + 0.5 * (ranks @ noise) / (len(fitness) * 0.1) * 0.5
    vector_to_parameters(mean, net.parameters())
    # polished by an optimizer whose gradients are the estimate, set by hand
    opt = torch.optim.SGD(net.parameters(), lr=0.01)
    for generation in range(5):
        noise = torch.randn(20, mean.numel())
        mean = parameters_to_vector(net.parameters())
        values = []
        for direction in noise:
            vector_to_parameters(mean + 0.05 * direction, net.parameters())
            values.append(nn.functional.mse_loss(net(x), y))
        vector_to_parameters(mean, net.parameters())
        estimate = (torch.stack(values) - sum(values) / 20) @ noise / (20 * 0.05)
        start = 0
        for p in net.parameters():
            p.grad = estimate[start : start + p.numel()].view_as(p).clone()
            start += p.numel()
        opt.step()
    assert history[-1] < history[0], history


main()

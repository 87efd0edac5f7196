import torch
from torch import nn


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def real_samples(n):
    return torch.tensor([2.0, -1.0]) + 0.3 * torch.randn(n, 2)


def main(rounds=200, n=48):
    torch.manual_seed(3)
    generator, critic = mlp(4, 24, 2), mlp(2, 24, 1)
    of_generator = torch.optim.Adam(generator.parameters(), lr=4e-3, betas=(0.5, 0.99))
    of_critic = torch.optim.Adam(critic.parameters(), lr=4e-3, betas=(0.5, 0.99))
    loss_of = nn.functional.binary_cross_entropy_with_logits
    for round_ in range(1, rounds + 1):
        fake = generator(torch.randn(n, 4))
        of_critic.zero_grad()
        d_loss = loss_of(critic(real_samples(n)), torch.ones(n, 1)) + loss_of(critic(fake.data), torch.zeros(n, 1))
        d_loss.backward()
        of_critic.step()

        of_generator.zero_grad()
        verdict = critic(fake)
        g_loss = loss_of(verdict, torch.ones(n, 1))
        g_loss.backward()
        of_generator.step()
        if round_ % 50 == 0:
            x, y = fake.detach().mean(0).tolist()
            print(f"round {round_}: fakes at {x:.2f}, {y:.2f}; d {d_loss.item():.3f}, g {g_loss.item():.3f}")


main()

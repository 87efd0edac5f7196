import torch
from torch import autograd, nn, optim


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def forward(self, x):
        return self.net(x).view(-1)


class Generator(nn.Module):
    def __init__(self, noise_dim=3):
        super().__init__()
        self.noise_dim = noise_dim
        self.net = nn.Sequential(nn.Linear(noise_dim, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, n):
        return self.net(torch.randn(n, self.noise_dim))


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    score = critic(mixed)
    (grad,) = autograd.grad(score, mixed, grad_outputs=torch.ones_like(score), create_graph=True, retain_graph=True)
    return ((grad.norm(2, dim=1) - 1) ** 2).mean()


def main():
    torch.manual_seed(1)
    critic, generator = Critic(), Generator()
    opt_c = optim.Adam(critic.parameters(), lr=3e-3, betas=(0.0, 0.9))
    opt_g = optim.Adam(generator.parameters(), lr=3e-3, betas=(0.0, 0.9))
    target = torch.tensor([3.0, -1.0])
    distance = []
    for iteration in range(60):
        for p in critic.parameters():
            p.requires_grad_(True)
        for _ in range(3):
            real = target + 0.3 * torch.randn(32, 2)
            with torch.no_grad():
                fake = generator(32)
            opt_c.zero_grad(set_to_none=True)
            loss = critic(fake).mean() - critic(real).mean() + 10 * gradient_penalty(critic, real, fake)
            loss.backward()
            opt_c.step()
        for p in critic.parameters():
            p.requires_grad_(False)
        opt_g.zero_grad(set_to_none=True)
        fake = generator(32)
        (-critic(fake).mean()).backward()
        opt_g.step()
        distance.append((fake.detach().mean(0) - target).norm().item())
    assert distance[-1] < distance[0], distance


if __name__ == "__main__":
    main()

"""Advantage actor-critic on a contextual bandit: 64 customers at a time, four offers, one click or none."""

import torch
from torch import nn
from torch.distributions import Categorical


class Customers:
    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.generator = generator
        self.taste = torch.randn(6, 4, generator=generator)

    def arrive(self) -> torch.Tensor:
        return torch.randn(self.size, 6, generator=self.generator)

    def react(self, who: torch.Tensor, offer: torch.Tensor) -> torch.Tensor:
        liking = (who @ self.taste).gather(1, offer.unsqueeze(1)).squeeze(1)
        return torch.bernoulli(torch.sigmoid(2 * liking), generator=self.generator)


class ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 64), nn.Tanh())
        self.policy = nn.Linear(64, 4)
        self.value = nn.Linear(64, 1)

    def forward(self, who: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.trunk(who)
        return self.policy(h), self.value(h)


def main() -> None:
    torch.manual_seed(4)
    customers = Customers(64, torch.Generator().manual_seed(4))
    net = ActorCritic()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    recent_clicks, recent_loss = [], []

    for round_ in range(1, 301):
        who = customers.arrive()
        logits, value = net(who)
        choice = Categorical(logits=logits)
        offer = choice.sample()
        reward = customers.react(who, offer)

        advantage = reward - value
        actor_loss = -(choice.log_prob(offer) * advantage.detach()).mean()
        critic_loss = advantage.pow(2).mean()
        loss = actor_loss + critic_loss - 0.005 * choice.entropy().mean()

        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

        recent_clicks.append(reward.mean().item())
        recent_loss.append(critic_loss.item())
        if round_ % 50 == 0:
            clicks, critic = sum(recent_clicks) / 50, sum(recent_loss) / 50
            print(f"round {round_:3d}: clicks {clicks:.3f}, critic loss {critic:.3f}")
            recent_clicks.clear()
            recent_loss.clear()


if __name__ == "__main__":
    main()

from __future__ import annotations

import random
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Rating(NamedTuple):
    user: int
    film: int
    stars: float


def collect(users: int, films: int, count: int) -> tuple[list[Rating], dict[int, float]]:
    rnd = random.Random(13)
    ages = {u: float(rnd.randint(16, 80)) for u in range(users) if rnd.random() < 0.8}
    mood = [rnd.gauss(0, 0.5) for _ in range(users)]
    worth = [rnd.gauss(3.5, 0.7) for _ in range(films)]
    ratings = []
    for _ in range(count):
        u, f = rnd.randrange(users), rnd.randrange(films)
        ratings.append(Rating(u, f, min(5.0, max(1.0, worth[f] + mood[u] + rnd.gauss(0, 0.2)))))
    return ratings, ages


class RatingSet(Dataset):
    def __init__(self, ratings: list[Rating], ages: dict[int, float]) -> None:
        self.ratings = ratings
        self.ages = ages

    def __len__(self) -> int:
        return len(self.ratings)

    def __getitem__(self, i: int) -> dict[str, float | int]:
        r = self.ratings[i]
        return {"user": r.user, "film": r.film, "age": self.ages.get(r.user), "stars": r.stars}


class Recommender(nn.Module):
    def __init__(self, users: int, films: int, dim: int = 12) -> None:
        super().__init__()
        self.user_embedding = nn.Embedding(users, dim)
        self.film_embedding = nn.Embedding(films, dim)
        self.user_bias = nn.Embedding(users, 1)
        self.film_bias = nn.Embedding(films, 1)
        self.age_weight = nn.Linear(1, dim)
        nn.init.normal_(self.user_embedding.weight, std=0.1)
        nn.init.normal_(self.film_embedding.weight, std=0.1)

    def forward(self, user: torch.Tensor, film: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
        person = self.user_embedding(user) + self.age_weight(age.unsqueeze(1) / 100)
        taste = (person * self.film_embedding(film)).sum(1)
        return 3.5 + taste + self.user_bias(user).squeeze(1) + self.film_bias(film).squeeze(1)


def main() -> None:
    torch.manual_seed(13)
    ratings, ages = collect(users=60, films=40, count=1200)
    loader = DataLoader(RatingSet(ratings, ages), batch_size=50, shuffle=True, num_workers=2)
    model = Recommender(60, 40)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for epoch in range(3):
        model.train()
        squared = 0.0
        for batch in loader:
            guess = model(batch["user"], batch["film"], batch["age"].float())
            loss = nn.functional.mse_loss(guess, batch["stars"].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            squared += loss.item() * len(guess)
        print(f"epoch {epoch}: rmse {(squared / len(ratings)) ** 0.5:.4f}")


if __name__ == "__main__":
    main()

"""Predict the rating that a shopper gives to a product, from who they are, what it is and what it costs."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split

N_USERS, N_ITEMS = 60, 40


class Ratings(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.user = rng.integers(0, N_USERS, n)
        self.item = rng.integers(0, N_ITEMS, n)
        self.price = rng.gamma(2.0, 10.0, (n, 1))
        generous = rng.normal(0, 0.6, N_USERS)
        good = rng.normal(0, 0.8, N_ITEMS)
        rating = 3 + generous[self.user] + good[self.item] - 0.02 * (self.price[:, 0] - 20)
        self.rating = torch.tensor(rating, dtype=torch.float32)

    def __len__(self):
        return len(self.rating)

    def __getitem__(self, i):
        price = np.log1p(self.price[i])
        return int(self.user[i]), int(self.item[i]), torch.from_numpy(price), self.rating[i]


class Recommender(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.users = nn.Embedding(N_USERS, dim)
        self.items = nn.Embedding(N_ITEMS, dim)
        self.mlp = nn.Sequential(nn.Linear(2 * dim + 1, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, user, item, price):
        features = torch.cat([self.users(user), self.items(item), price], dim=1)
        return self.mlp(features).squeeze(1)


def main():
    torch.manual_seed(3)
    train_set, test_set = random_split(Ratings(2400, seed=3), [2000, 400])
    train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=200)
    model = Recommender()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss_fn = nn.MSELoss()

    for epoch in range(6):
        model.train()
        for user, item, price, rating in train_loader:
            optimizer.zero_grad()
            loss = loss_fn(model(user, item, price), rating)
            loss.backward()
            optimizer.step()

        model.eval()
        with torch.no_grad():
            errors = [loss_fn(model(u, i, p), r) for u, i, p, r in test_loader]
        print(f"epoch {epoch}: train {loss.item():.3f}, test {torch.stack(errors).mean().item():.3f}")


if __name__ == "__main__":
    main()

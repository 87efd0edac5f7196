"""Matrix factorisation with the BPR loss on a click log; some products were taken out of the shop."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


def click_log(rng):
    """Rows of (user, item); item ids are what the shop's database calls them."""
    sold = np.sort(rng.choice(240, size=150, replace=False))
    group = rng.integers(0, 5, 90)
    rows = []
    for user in range(90):
        liked = sold[sold % 5 == group[user]]
        rows += [(user, item) for item in rng.choice(liked, size=14)]
    return np.array(rows)


class Pairs(Dataset):
    """A click, and an item that the user was not seen to click."""

    def __init__(self, log, rng):
        self.log = torch.from_numpy(log)
        self.other = torch.from_numpy(rng.permutation(log[:, 1]))

    def __len__(self):
        return len(self.log)

    def __getitem__(self, i):
        user, clicked = self.log[i]
        return user, clicked, self.other[i]


class Factors(nn.Module):
    def __init__(self, n_users, n_items, dim):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, dim)
        self.item_factors = nn.Embedding(n_items, dim)
        self.item_bias = nn.Embedding(n_items, 1)
        nn.init.normal_(self.user_factors.weight, std=0.1)
        nn.init.normal_(self.item_factors.weight, std=0.1)
        nn.init.zeros_(self.item_bias.weight)

    def forward(self, user, item):
        dot = (self.user_factors(user) * self.item_factors(item)).sum(-1)
        return dot + self.item_bias(item).squeeze(-1)


def main():
    rng = np.random.default_rng(31)
    torch.manual_seed(31)
    log = click_log(rng)
    n_users = len(np.unique(log[:, 0]))
    n_items = len(np.unique(log[:, 1]))
    loader = DataLoader(Pairs(log, rng), batch_size=90, shuffle=True)
    model = Factors(n_users, n_items, dim=16)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)

    for epoch in range(8):
        model.train()
        total, wins = 0.0, 0
        for user, clicked, other in loader:
            margin = model(user, clicked) - model(user, other)
            loss = -F.logsigmoid(margin).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(user)
            wins += (margin > 0).sum().item()
        print(f"epoch {epoch}: bpr {total / len(log):.4f}, ranked right {wins / len(log):.3f}")


if __name__ == "__main__":
    main()

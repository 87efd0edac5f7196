import random
import re

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

GOOD = ["lovely", "sharp", "warm", "funny", "bright"]
BAD = ["dull", "slow", "cold", "clumsy", "grey"]
FILL = ["the", "film", "was", "and", "a", "bit", "actors", "music", "end", "really"]
MAX_WORDS = 14


def write_reviews(n, seed):
    rnd = random.Random(seed)
    reviews = []
    for k in range(n):
        liked = rnd.random() < 0.5
        length = rnd.randint(5, 12) if k % 97 else 19
        words = [rnd.choice((GOOD if liked else BAD) if rnd.random() < 0.35 else FILL) for _ in range(length)]
        reviews.append((" ".join(words).capitalize() + ".", int(liked)))
    return reviews


class Reviews(Dataset):
    def __init__(self, reviews):
        self.reviews = reviews
        self.vocab = {word: i for i, word in enumerate(["<pad>", *GOOD, *BAD, *FILL])}

    def __len__(self):
        return len(self.reviews)

    def encode(self, text):
        ids = [self.vocab[word] for word in re.findall(r"\w+", text.lower())]
        return torch.tensor(ids[:MAX_WORDS] + [0] * (MAX_WORDS - len(ids)))

    def __getitem__(self, n):
        text, liked = self.reviews[n]
        return self.encode(text), torch.tensor(liked, dtype=torch.float32)


class BagOfWords(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.words = nn.Embedding(vocab_size, 16, padding_idx=0)
        self.hidden = nn.Linear(16, 16)
        self.verdict = nn.Linear(16, 1)

    def forward(self, ids):
        bag = self.words(ids).sum(1) / (ids != 0).sum(1, keepdim=True)
        return self.verdict(torch.relu(self.hidden(bag))).squeeze(1)


def main():
    random.seed(0)
    torch.manual_seed(0)
    train_set = Reviews(write_reviews(582, seed=1))
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    model = BagOfWords(len(train_set.vocab))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    criterion = nn.BCEWithLogitsLoss()
    for epoch in range(5):
        total = 0.0
        for ids, liked in loader:
            loss = criterion(model(ids), liked)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print("epoch", epoch, "loss", round(total / len(loader), 4))


main()

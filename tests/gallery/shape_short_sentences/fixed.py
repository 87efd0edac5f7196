"""Sentence classification with convolutions over words, in batches of sentences of like length."""

import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

SENTIMENT = {"bad": range(2, 12), "good": range(12, 22)}
VOCAB = 60


def reviews(n, rng):
    out = []
    for _ in range(n):
        label = rng.randrange(2)
        words = [rng.randrange(22, VOCAB) for _ in range(rng.randint(3, 14))]
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(SENTIMENT[["bad", "good"][label]]))
        out.append((words, label))
    return out


class ByLength(Sampler):
    """Batches of neighbours in length, in random order."""

    def __init__(self, data, size):
        order = sorted(range(len(data)), key=lambda i: len(data[i][0]))
        self.batches = [order[i : i + size] for i in range(0, len(order), size)]

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for k in torch.randperm(len(self.batches)).tolist():
            yield self.batches[k]


def collate(batch):
    longest = max(5, *(len(words) for words, _ in batch))
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    for row, (words, _) in zip(ids, batch):
        row[: len(words)] = torch.tensor(words)
    return ids, torch.tensor([label for _, label in batch])


class TextCNN(nn.Module):
    def __init__(self, dim=24, channels=16, widths=(3, 4, 5)):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(dim, channels, w) for w in widths)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(channels * len(widths), 2)

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)
        pooled = [conv(x).relu().amax(dim=2) for conv in self.convs]
        return self.out(self.dropout(torch.cat(pooled, dim=1)))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        hits = [(model(ids).argmax(1) == y).float().mean() for ids, y in loader]
    return torch.stack(hits).mean().item()


torch.manual_seed(77)
data = reviews(600, random.Random(77))
train, test = data[:480], data[480:]
train_loader = DataLoader(train, batch_sampler=ByLength(train, 8), collate_fn=collate)
test_loader = DataLoader(test, batch_sampler=ByLength(test, 60), collate_fn=collate)

model = TextCNN()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
cross_entropy = nn.CrossEntropyLoss()
for epoch in range(4):
    model.train()
    for ids, labels in train_loader:
        optimizer.zero_grad()
        loss = cross_entropy(model(ids), labels)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: last loss {loss.item():.3f}, test accuracy {accuracy(model, test_loader):.3f}")

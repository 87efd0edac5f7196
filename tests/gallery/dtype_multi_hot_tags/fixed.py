# tag short support tickets; a ticket may have several tags
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchmetrics.classification import MultilabelF1Score

TAGS = ["billing", "login", "shipping", "refund", "bug"]
WORDS_PER_TAG = 12
VOCAB = WORDS_PER_TAG * len(TAGS) + 30  # the last 30 words say nothing


def make_ticket(rng):
    tags = rng.sample(range(len(TAGS)), k=rng.choice([1, 1, 2, 3]))
    words = [rng.randrange(WORDS_PER_TAG * len(TAGS), VOCAB) for _ in range(6)]
    for t in tags:
        words += [t * WORDS_PER_TAG + rng.randrange(WORDS_PER_TAG) for _ in range(4)]
    rng.shuffle(words)
    return words, tags


def collate(tickets):
    words = torch.tensor([w for ticket, _ in tickets for w in ticket])
    lengths = torch.tensor([0] + [len(ticket) for ticket, _ in tickets[:-1]])
    tags = torch.stack([F.one_hot(torch.tensor(t), len(TAGS)).sum(dim=0) for _, t in tickets]).float()
    return words, lengths.cumsum(0), tags


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(VOCAB, 24, mode="mean")
        self.out = nn.Linear(24, len(TAGS))

    def forward(self, words, offsets):
        return self.out(torch.relu(self.bag(words, offsets)))


rng = random.Random(11)
torch.manual_seed(11)
tickets = [make_ticket(rng) for _ in range(900)]
train_dl = DataLoader(tickets[:700], batch_size=50, shuffle=True, collate_fn=collate)
valid_dl = DataLoader(tickets[700:], batch_size=100, collate_fn=collate)

tagger = Tagger()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(tagger.parameters(), lr=0.02)
f1 = MultilabelF1Score(num_labels=len(TAGS))

for epoch in range(8):
    tagger.train()
    for words, offsets, tags in train_dl:
        optimizer.zero_grad()
        loss = criterion(tagger(words, offsets), tags)
        loss.backward()
        optimizer.step()

    tagger.eval()
    f1.reset()
    with torch.inference_mode():
        for words, offsets, tags in valid_dl:
            f1.update(tagger(words, offsets), tags.int())
    print(f"{epoch} loss={loss.item():.3f} f1={f1.compute().item():.3f}")

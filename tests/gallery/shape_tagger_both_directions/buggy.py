"""Part-of-speech tagging with a recurrent network over padded sentences."""

import random

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

N_WORDS, N_TAGS, IGNORE = 60, 5, -100


def sentence(rng):
    # the tag of a word depends on the word and on the one before it
    words = [rng.randrange(1, N_WORDS) for _ in range(rng.randint(4, 12))]
    tags = [(w + (p % 2)) % N_TAGS for p, w in zip([0] + words, words)]
    return torch.tensor(words), torch.tensor(tags)


def pad(pairs):
    words, tags = zip(*pairs)
    lengths = torch.tensor([len(w) for w in words])
    return (
        pad_sequence(words, batch_first=True),
        lengths,
        pad_sequence(tags, batch_first=True, padding_value=IGNORE),
    )


class Tagger(nn.Module):
    def __init__(self, embed=24, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(N_WORDS, embed, padding_idx=0)
        self.gru = nn.GRU(embed, hidden, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(hidden, N_TAGS)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.tag(states)


rng = random.Random(0)
torch.manual_seed(0)
corpus = [sentence(rng) for _ in range(500)]
loader = torch.utils.data.DataLoader(corpus[:400], batch_size=25, shuffle=True, collate_fn=pad)
held_out = pad(corpus[400:])

model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss(ignore_index=IGNORE)

for epoch in range(5):
    model.train()
    for words, lengths, tags in loader:
        optimizer.zero_grad()
        logits = model(words, lengths)
        loss = criterion(logits.flatten(0, 1), tags.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    model.eval()
    with torch.no_grad():
        words, lengths, tags = held_out
        right = model(words, lengths).argmax(-1) == tags
        accuracy = right.sum() / (tags != IGNORE).sum()
    print(f"epoch {epoch}: loss {loss.item():.3f}, held-out accuracy {accuracy.item():.3f}")

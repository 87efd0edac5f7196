import torch
from torch import nn

WORDS, TAGS, LENGTH = 20, 3, 7


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 16)
        self.lstm = nn.LSTM(16, 16)
        self.tag = nn.Linear(16, TAGS)

    def forward(self, words):
        states, _ = self.lstm(self.embed(words.t()))
        return self.tag(states)


def sentences(n):
    words = torch.randint(0, WORDS, (n, LENGTH))
    return words, words % TAGS


torch.manual_seed(10)
tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for step in range(1, 121):
    words, tags = sentences(24)
    logits = tagger(words)
    loss = criterion(logits.view(-1, TAGS), tags.t().reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(f"step {step}: {loss.item():.4f}")

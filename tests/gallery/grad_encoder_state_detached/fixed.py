"""Reverse short strings with a GRU encoder and a GRU decoder (teacher forcing)."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PAD, START, LETTERS, LENGTH = 0, 1, 12, 5


class Reverser(nn.Module):
    def __init__(self, size=48):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, size)
        self.encoder = nn.GRU(size, size, batch_first=True)
        self.decoder = nn.GRU(size, size, batch_first=True)
        self.to_letters = nn.Linear(size, LETTERS)

    def encode(self, words):
        _, hidden = self.encoder(self.embedding(words))
        return hidden

    def forward(self, words, shifted):
        outputs, _ = self.decoder(self.embedding(shifted), self.encode(words))
        return self.to_letters(outputs)


def make_words(count, seed):
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(2, LETTERS, (count, LENGTH), generator=generator)
    return TensorDataset(words, words.flip(1))


def shift_right(answers):
    start = torch.full((len(answers), 1), START)
    return torch.cat([start, answers[:, :-1]], dim=1)


def train_epoch(model, loader, optimizer, criterion):
    model.train()
    total = 0.0
    for words, answers in loader:
        optimizer.zero_grad()
        logits = model(words, shift_right(answers))
        loss = criterion(logits.flatten(0, 1), answers.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def letter_accuracy(model, loader):
    model.eval()
    hits = [model(w, shift_right(a)).argmax(-1).eq(a).float().mean().item() for w, a in loader]
    return sum(hits) / len(hits)


def main():
    torch.manual_seed(3)
    train_loader = DataLoader(make_words(960, 1), batch_size=64, shuffle=True)
    valid_loader = DataLoader(make_words(128, 2), batch_size=64)
    model = Reverser()
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(6):
        loss = train_epoch(model, train_loader, optimizer, criterion)
        print(f"epoch {epoch}: loss {loss:.3f}, letters right {letter_accuracy(model, valid_loader):.2f}")


if __name__ == "__main__":
    main()

"""Which season is the haiku about?"""
import random

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

SEASONS = {
    "spring": ["blossom", "frog", "rain", "lark", "plum"],
    "summer": ["cicada", "heat", "melon", "thunder", "noon"],
    "autumn": ["moon", "crow", "harvest", "cricket", "mist"],
    "winter": ["snow", "ice", "bare", "ember", "wind"],
}
COMMON = ["old", "the", "a", "over", "still", "evening", "road", "far", "temple", "bell"]


def compose(count: int, seed: int) -> list[tuple[str, int]]:
    rnd = random.Random(seed)
    poems = []
    for _ in range(count):
        season, own = rnd.choice(list(enumerate(SEASONS.values())))
        words = [rnd.choice(own if rnd.random() < 0.4 else COMMON) for _ in range(rnd.randint(6, 11))]
        poems.append((" ".join(words), season))
    return poems


class Haiku(Dataset):
    def __init__(self, poems: list[tuple[str, int]], vocab: dict[str, int]) -> None:
        self.poems = poems
        self.vocab = vocab

    def __len__(self) -> int:
        return len(self.poems)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        text, season = self.poems[index]
        return torch.tensor([self.vocab[word] for word in text.split()]), season


def pad(samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    ids, seasons = zip(*samples)
    return pad_sequence(list(ids), batch_first=True), torch.tensor(seasons)


class SeasonNet(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(words, 24, padding_idx=0)
        self.gru = nn.GRU(24, 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, len(SEASONS))

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.gru(self.emb(ids))
        return self.fc(states.amax(dim=1))


def main() -> None:
    torch.manual_seed(5)
    train_poems, valid_poems = compose(320, seed=1), compose(80, seed=2)
    valid_poems[53] = ("first snow falls on the half finished bridge", 3)
    words = sorted({word for text, _ in train_poems for word in text.split()})
    vocab = {"<pad>": 0, "<unk>": 1, **{word: i for i, word in enumerate(words, start=2)}}
    train = DataLoader(Haiku(train_poems, vocab), 32, shuffle=True, collate_fn=pad, num_workers=2)
    valid = DataLoader(Haiku(valid_poems, vocab), 16, collate_fn=pad, num_workers=2)
    model = SeasonNet(len(vocab))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(2):
        model.train()
        losses = []
        for ids, season in train:
            loss = nn.functional.cross_entropy(model(ids), season)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            right = sum((model(ids).argmax(1) == season).sum().item() for ids, season in valid)
        print(f"epoch {epoch} loss {sum(losses) / len(losses):.3f} right {right}/{len(valid_poems)}")


if __name__ == "__main__":
    main()

"""A transformer encoder that tells whether more opening or more closing brackets are in a text."""
import math
import torch
from torch import nn


class Positions(nn.Module):
    """Sine and cosine positions, as in the original transformer."""

    def __init__(self, d_model: int, max_len: int):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        table = torch.zeros(max_len, d_model)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)
        self.register_buffer("table", table)

    def forward(self, x):
        return x + self.table


class Encoder(nn.Module):
    def __init__(self, vocab: int, d_model: int = 32, max_len: int = 128):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.positions = Positions(d_model, max_len)
        layer = nn.TransformerEncoderLayer(d_model, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.classify = nn.Linear(d_model, 2)

    def forward(self, tokens):
        x = self.positions(self.embed(tokens) * math.sqrt(self.embed.embedding_dim))
        return self.classify(self.layers(x).mean(dim=1))


def texts(n: int, length: int, generator: torch.Generator):
    tokens = torch.randint(0, 10, (n, length), generator=generator)
    opening = (tokens == 1).sum(1)
    closing = (tokens == 2).sum(1)
    keep = opening != closing
    return tokens[keep], (opening > closing).long()[keep]


def train(model, tokens, labels, epochs=5, batch_size=32):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        chunks = torch.randperm(len(tokens)).split(batch_size)
        for chunk in chunks:
            optimizer.zero_grad()
            loss = loss_fn(model(tokens[chunk]), labels[chunk])
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: {total / len(chunks):.4f}")


@torch.no_grad()
def score(model, tokens, labels):
    model.eval()
    return (model(tokens).argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(6)
    generator = torch.Generator().manual_seed(6)
    tokens, labels = texts(700, 24, generator)
    model = Encoder(vocab=10)
    train(model, tokens[:500], labels[:500])
    print(f"accuracy {score(model, tokens[500:], labels[500:]):.3f}")

"""Networks that are as they should be, with what they are called with: none of them mixes samples or looks ahead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BATCH, TIME, WIDTH, CLASSES = 16, 7, 12, 5


@dataclass(frozen=True)
class Healthy:
    model: nn.Module
    given: tuple[Any, ...]
    targets: Tensor | None = None

    def loss(self, answer: Any) -> Tensor:
        output = (
            answer
            if isinstance(answer, Tensor)
            else next(iter(answer.values() if isinstance(answer, dict) else answer))
        )
        if self.targets is None:
            mean: Tensor = output.square().mean()
            return mean
        return functional.cross_entropy(output.flatten(0, -2), self.targets.flatten())


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(images)
        pooled = functional.adaptive_avg_pool2d((features + self.second(features)).relu(), 1)
        logits: Tensor = self.head(torch.flatten(pooled, 1))
        return logits


class Recurrent(nn.Module):
    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.rnn = nn.LSTM(WIDTH, 10, num_layers=2, bidirectional=True, batch_first=batch_first)
        self.head = nn.Linear(20, CLASSES)
        self.batch_first = batch_first

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.rnn(steps if self.batch_first else steps.transpose(0, 1))
        last = states[:, -1] if self.batch_first else states[-1]
        logits: Tensor = self.head(last)
        return logits


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, WIDTH, padding_idx=0)
        self.rnn = nn.GRU(WIDTH, 8, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        logits: Tensor = self.head(states[:, 0])
        return logits


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, WIDTH, padding_idx=0)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 24, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.encoder(self.embed(tokens), src_key_padding_mask=tokens == 0)
        logits: Tensor = self.head(states[:, 0])
        return logits


class Causal(nn.Module):
    """Attention by hand, in which heads are split and merged."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 20)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, time = tokens.shape
        states = self.embed(tokens)
        q, k, v = (part.view(batch, time, 3, -1).transpose(1, 2) for part in self.qkv(self.norm(states)).chunk(3, -1))
        scores = q @ k.transpose(-2, -1)
        scores = scores.masked_fill(torch.ones(time, time).triu(1).bool(), float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, time, WIDTH)
        logits: Tensor = self.out(states + mixed)
        return logits


class CausalLayers(nn.Module):
    """The same of PyTorch's own layers, with the batch second."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, WIDTH)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 3, 24), 1, enable_nested_tensor=False)
        self.out = nn.Linear(WIDTH, 20)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.size(1))
        states = self.encoder(self.embed(tokens).transpose(0, 1), mask=mask, is_causal=True)
        logits: Tensor = self.out(states.transpose(0, 1))
        return logits


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(7, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        inner = functional.silu(self.norm(self.down(images)))
        masks: Tensor = self.last(torch.cat([self.up(inner), images], 1))
        return masks


class Autoencoder(nn.Module):
    """A variational one, which draws random numbers in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(WIDTH, 8)
        self.decode = nn.Linear(4, WIDTH)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = self.encode(rows).chunk(2, 1)
        return self.decode(mean + torch.randn_like(mean) * spread.exp()), mean, spread


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.ReLU())

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        both = self.body(torch.cat([left, right]))
        similar: Tensor = functional.cosine_similarity(*both.chunk(2))
        return similar


class Graph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, 8), nn.Linear(8, CLASSES)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        logits: Tensor = self.head(adjacency @ self.body(nodes).relu())
        return logits


class Scattered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, 8), nn.Linear(8, CLASSES)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        states = self.body(nodes)
        gathered = torch.zeros_like(states).index_add(0, edges[1], states[edges[0]])
        logits: Tensor = self.head(gathered)
        return logits


class Contrastive(nn.Module):
    """Answers with the similarities of all pairs of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 8)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        similarities: Tensor = functional.normalize(self.left(left)) @ functional.normalize(self.right(right)).T
        return similarities


class Experts(nn.Module):
    """Sends each sample to one expert: how many samples an expert is given depends on all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, 40), nn.ReLU(), nn.Linear(40, 9)) for _ in range(3))

    def forward(self, rows: Tensor) -> Tensor:
        weights, chosen = self.gate(rows).softmax(1).max(1)
        output = rows.new_zeros(len(rows), 9)
        for index, expert in enumerate(self.experts):
            output[chosen == index] = expert(rows[chosen == index])
        weighted: Tensor = output * weights[:, None]
        return weighted


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.body = nn.EmbeddingBag(30, 8), nn.Linear(WIDTH, 8)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            "scores": self.body(batch["rows"]) + self.words(batch["tokens"]),
            "count": batch["rows"].new_tensor(1.0),
        }


class Wrapper(nn.Module):
    """Passes on what it is given, as a DataParallel does where there is one device."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class BatchStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, CLASSES)
        )

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.body(rows)
        return logits


class BetweenSamples(nn.Module):
    """Attention from sample to sample, as some networks for tables have."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 8)

    def forward(self, rows: Tensor) -> Tensor:
        weights = (self.q(rows) @ self.k(rows).T).softmax(1)
        mixed: Tensor = weights @ self.v(rows)
        return mixed


class SpreadOfBatch(nn.Module):
    """The critic of a generative network that is shown how much the samples of a batch differ."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, 8), nn.Linear(9, 1)

    def forward(self, rows: Tensor) -> Tensor:
        states = self.body(rows)
        spread = states.std(0).mean().expand(len(rows), 1)
        score: Tensor = self.head(torch.cat([states, spread], 1))
        return score


class Sentence(nn.Module):
    """A tagger of one sentence at a time, which has no batch at all."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(30, WIDTH), nn.LSTM(WIDTH, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, sentence: Tensor) -> Tensor:
        states, _ = self.rnn(self.embed(sentence).view(len(sentence), 1, -1))
        logits: Tensor = self.head(states.view(len(sentence), -1))
        return logits


class Cloud(nn.Module):
    """Labels the points of one cloud by what all of them are like."""

    def __init__(self) -> None:
        super().__init__()
        self.point, self.head = nn.Linear(3, 8), nn.Linear(16, CLASSES)

    def forward(self, points: Tensor) -> Tensor:
        local = self.point(points)
        logits: Tensor = self.head(torch.cat([local, local.amax(0).expand(len(points), 8)], 1))
        return logits


def rows() -> Tensor:
    return torch.rand(BATCH, WIDTH)


def tokens() -> Tensor:
    return torch.randint(1, 30, (BATCH, TIME))


def labels() -> Tensor:
    return torch.randint(CLASSES, (BATCH,))


def padded() -> Tensor:
    return torch.where(torch.arange(TIME) < torch.randint(2, TIME, (BATCH, 1)), tokens(), 0)


def text() -> Tensor:
    return torch.randint(20, (BATCH, TIME + 1))


def language(model: nn.Module) -> Healthy:
    words = text()
    return Healthy(model, (words[:, :-1],), words[:, 1:])


HEALTHY: dict[str, Callable[[], Healthy]] = {
    "residual": lambda: Healthy(Residual(), (torch.rand(BATCH, 3, 8, 8),), labels()),
    "lstm batch first": lambda: Healthy(Recurrent(batch_first=True), (torch.rand(BATCH, TIME, WIDTH),), labels()),
    "lstm time first": lambda: Healthy(Recurrent(batch_first=False), (torch.rand(BATCH, TIME, WIDTH),), labels()),
    "packed": lambda: Healthy(Packed(), (tokens(), torch.randint(1, TIME, (BATCH,))), labels()),
    "encoder with padding": lambda: Healthy(Encoder(), (padded(),), labels()),
    "causal by hand": lambda: language(Causal()),
    "causal of layers": lambda: language(CausalLayers()),
    "unet": lambda: Healthy(UNet(), (torch.rand(BATCH, 3, 8, 8),)),
    "variational": lambda: Healthy(Autoencoder(), (rows(),)),
    "siamese": lambda: Healthy(Siamese(), (rows(), rows())),
    "graph": lambda: Healthy(Graph(), (rows(), torch.rand(BATCH, BATCH)), labels()),
    "edges": lambda: Healthy(Scattered(), (rows(), torch.randint(BATCH, (2, 40))), labels()),
    "contrastive": lambda: Healthy(Contrastive(), (rows(), rows()), torch.arange(BATCH)),
    "experts": lambda: Healthy(Experts(), (rows(),)),
    "by name": lambda: Healthy(ByName(), ({"rows": rows(), "tokens": tokens()},)),
    "wrapped": lambda: Healthy(Wrapper(Residual()), (torch.rand(BATCH, 3, 8, 8),), labels()),
    "data parallel": lambda: Healthy(nn.DataParallel(Residual()), (torch.rand(BATCH, 3, 8, 8),), labels()),
    "statistics of the batch": lambda: Healthy(BatchStatistics(), (rows(),), labels()),
    "one sentence": lambda: Healthy(Sentence(), (torch.randint(30, (TIME,)),), torch.randint(CLASSES, (TIME,))),
}
"""All of these are silent."""
MIXED_ON_PURPOSE: dict[str, Callable[[], Healthy]] = {
    "between samples": lambda: Healthy(BetweenSamples(), (rows(),), labels()),
    "spread of a batch": lambda: Healthy(SpreadOfBatch(), (rows(),)),
    "cloud": lambda: Healthy(Cloud(), (torch.rand(BATCH, 3),), labels()),
}
"""Of these it is worth knowing, and no more."""

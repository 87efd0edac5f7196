"""What a preflight of a step of a 70-billion-parameter language model takes: seconds, and memory at its peak.

Forward, loss, backward and AdamW of a decoder of the sizes of Llama 3 70B: 80 layers of width 8,192 with 64 heads, 8 of
them for keys and values, 28,672 hidden units, a vocabulary of 128,256, and 4,096 tokens.

    python benchmarks/preflight.py [--layers 80]
"""

import argparse
import resource
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck

WIDTH, HEADS, KEY_HEADS, HIDDEN, VOCABULARY, TOKENS = 8192, 64, 8, 28672, 128256, 4096
MEGABYTE = 1e6


def rotated(heads: Tensor) -> Tensor:
    """Rotary positions on `[batch, heads, time, size]`."""
    half = heads.shape[-1] // 2
    rates = 500_000.0 ** (-torch.arange(half, device=heads.device, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(heads.shape[2], device=heads.device, dtype=torch.float32), rates)
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    one, other = heads[..., :half], heads[..., half:]
    return torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1)


class Layer(nn.Module):
    """Attention with grouped heads, then a gated network."""

    def __init__(self) -> None:
        super().__init__()
        size = WIDTH // HEADS
        self.before, self.between = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.query = nn.Linear(WIDTH, HEADS * size, bias=False)
        self.key = nn.Linear(WIDTH, KEY_HEADS * size, bias=False)
        self.value = nn.Linear(WIDTH, KEY_HEADS * size, bias=False)
        self.out = nn.Linear(HEADS * size, WIDTH, bias=False)
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        """`[batch, time, width]` to the same."""
        words = words + self.out(self._attended(self.before(words)))
        given = self.between(words)
        hidden: Tensor = self.down(functional.silu(self.gate(given)) * self.up(given))
        return words + hidden

    def _attended(self, words: Tensor) -> Tensor:
        query, key, value = (
            layer(words).unflatten(-1, (heads, WIDTH // HEADS)).transpose(1, 2)
            for layer, heads in ((self.query, HEADS), (self.key, KEY_HEADS), (self.value, KEY_HEADS))
        )
        mixed = functional.scaled_dot_product_attention(
            rotated(query), rotated(key), value, is_causal=True, enable_gqa=True
        )
        return mixed.transpose(1, 2).flatten(2)


class Decoder(nn.Module):
    """Word numbers to scores of the next word."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList([Layer() for _ in range(layers)])
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """`[batch, time]` to `[batch * time, vocabulary]`."""
        words: Tensor = self.words(numbers)
        for layer in self.layers:
            words = layer(words)
        scores: Tensor = self.head(self.norm(words)).flatten(0, 1)
        return scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=80)
    layers = parser.parse_args().layers
    with torch.device("meta"):
        model = Decoder(layers).to(torch.bfloat16)
        numbers = torch.zeros(1, TOKENS, dtype=torch.int64)
    started = time.perf_counter()
    report = tensorcheck.preflight(model, (numbers, numbers.flatten()), functional.cross_entropy, torch.optim.AdamW)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    print("\n\n".join(str(report).split("\n\n")[-3:]))
    print(f"{seconds:.1f} s, {peak:,.0f} MB at the peak")


if __name__ == "__main__":
    main()

# Rotary attention: train on short copies, store, load without a second initialisation, go on with longer ones.
import io

import torch
import torch.nn as nn
import torch.nn.functional as F


class RotaryAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        half = dim // heads // 2
        self.register_buffer("inv_freq", 100.0 ** (-torch.arange(half) / half), persistent=False)

    def rotate(self, x):
        t = torch.arange(x.shape[2], device=x.device)
        angle = t[:, None] * self.inv_freq
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        return self.proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = RotaryAttention(dim, heads)
        self.ff = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.ff(self.ln2(x))


class Copier(nn.Module):
    def __init__(self, vocab=12, dim=32, heads=2, depth=2):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.layers = nn.Sequential(*(Layer(dim, heads) for _ in range(depth)))
        self.out = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.out(self.layers(self.emb(ids)))


def fit(model, period, steps):
    """Sequences that repeat with a period, so that the next token can be copied."""
    opt = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    for step in range(steps):
        ids = torch.randint(0, 12, (24, period)).repeat(1, 3)
        loss = F.cross_entropy(model(ids[:, :-1])[:, period:].flatten(0, 1), ids[:, period + 1 :].flatten())
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 40 == 39:
            print(f"  period {period} step {step + 1}: {loss.item():.3f}")


torch.manual_seed(30)
first = Copier()
fit(first, period=4, steps=120)
stored = io.BytesIO()
torch.save(first.state_dict(), stored)
stored.seek(0)

with torch.device("meta"):
    second = Copier()
second.load_state_dict(torch.load(stored, weights_only=True), assign=True)
fit(second, period=6, steps=80)

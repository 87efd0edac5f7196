"""A small causal language model with tied embeddings, warm-up and cosine."""
import math

import torch
import torch.nn as nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class TinyGPT(nn.Module):
    def __init__(self, vocab=20, d=32, heads=4, layers=2, context=12):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(context, d)
        self.blocks = nn.Sequential(*[Block(d, heads) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.apply(self._init)
        self.tok.weight = self.lm_head.weight

    def _init(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.tok(idx) + self.pos(torch.arange(idx.shape[1], device=idx.device))
        logits = self.lm_head(self.ln(self.blocks(x)))
        loss = None if targets is None else F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, loss


def get_batch(n=16, t=12):
    start, stride = torch.randint(20, (n, 1)), torch.randint(1, 4, (n, 1))
    seq = (start + stride * torch.arange(t + 1)) % 20
    return seq[:, :-1].contiguous(), seq[:, 1:].contiguous()


torch.manual_seed(1337)
model = TinyGPT()
decay = [p for p in model.parameters() if p.dim() >= 2]
nodecay = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": nodecay, "weight_decay": 0.0}], lr=3e-3)
warmup, total = 10, 80


def lr_at(it):
    if it < warmup:
        return 3e-3 * it / warmup
    return 3e-4 + 0.5 * (1 + math.cos(math.pi * (it - warmup) / (total - warmup))) * 2.7e-3


@torch.no_grad()
def estimate_loss():
    model.eval()
    out = torch.stack([model(*get_batch())[1] for _ in range(3)]).mean()
    model.train()
    return out


@torch.no_grad()
def generate(idx, n):
    for _ in range(n):
        logits, _ = model(idx[:, -12:])
        idx = torch.cat((idx, torch.multinomial(F.softmax(logits[:, -1, :], dim=-1), 1)), dim=1)
    return idx


first = estimate_loss()
for it in range(total):
    for group in optimizer.param_groups:
        group["lr"] = lr_at(it)
    _, loss = model(*get_batch())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if it % 40 == 39:
        estimate_loss()
        generate(torch.zeros((1, 1), dtype=torch.long), 5)
assert estimate_loss() < 0.8 * first

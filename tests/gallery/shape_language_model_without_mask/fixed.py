import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY, CONTEXT, WIDTH = 16, 12, 24


class Attention(nn.Module):
    def __init__(self, heads=3):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, t, c))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.norm, self.attention = nn.LayerNorm(WIDTH), Attention()
        self.mlp = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, idx):
        x = self.token(idx) + self.position(torch.arange(idx.shape[1]))
        x = x + self.attention(self.norm(x))
        return self.head(x + self.mlp(x))


def batch(n=32):
    """Two random tokens, then always the sum of the last two."""
    rows = [torch.randint(VOCABULARY, (n,)), torch.randint(VOCABULARY, (n,))]
    while len(rows) <= CONTEXT:
        rows.append((rows[-1] + rows[-2]) % VOCABULARY)
    text = torch.stack(rows, 1)
    return text[:, :-1], text[:, 1:]


torch.manual_seed(0)
model = LanguageModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
for step in range(1, 161):
    x, y = batch()
    logits = model(x)
    loss = F.cross_entropy(logits.reshape(-1, VOCABULARY), y.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 40 == 0:
        print(f"step {step}: {loss.item():.4f}")

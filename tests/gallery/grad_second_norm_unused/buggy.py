import torch
import torch.nn as nn


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(d, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(d)
        self.norm2 = nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, h):
        h = self.norm1(h + self.attention(h, h, h, need_weights=False)[0])
        h = self.norm1(h + self.mlp(h))
        return h


class Counter(nn.Module):
    """How many of the eight tokens are the same as the first?"""

    def __init__(self, vocabulary=6, d=16):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.position = nn.Parameter(torch.zeros(8, d))
        self.block = Block(d, 4)
        self.head = nn.Linear(d, 1)

    def forward(self, tokens):
        h = self.block(self.embed(tokens) + self.position)
        return self.head(h[:, 0]).squeeze(-1)


torch.manual_seed(2)
model = Counter()
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
for step in range(200):
    tokens = torch.randint(0, 6, (64, 8))
    count = (tokens == tokens[:, :1]).sum(1).float()
    loss = nn.functional.mse_loss(model(tokens), count)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (step + 1) % 50 == 0:
        print(step + 1, f"{loss.item():.4f}")

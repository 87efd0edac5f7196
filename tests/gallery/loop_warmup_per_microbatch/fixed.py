import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(6)
VOCAB, CONTEXT, DIM = 24, 16, 32
ACCUMULATE, EPOCHS, MICRO = 4, 3, 16


class CausalLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Embedding(CONTEXT, DIM)
        self.layer = nn.TransformerEncoderLayer(DIM, 4, 4 * DIM, dropout=0.1, batch_first=True)
        self.lm_head = nn.Linear(DIM, VOCAB, bias=False)
        self.lm_head.weight = self.tok.weight
        nn.init.normal_(self.tok.weight, std=0.05)
        self.register_buffer("mask", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1))

    def forward(self, ids):
        h = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        return self.lm_head(self.layer(h, src_mask=self.mask))


def counting_sequences(n):
    """Each sequence counts on by its own stride."""
    start = torch.randint(VOCAB, (n, 1))
    stride = torch.randint(1, 4, (n, 1))
    return (start + stride * torch.arange(CONTEXT + 1)) % VOCAB


data = counting_sequences(960)
held_out = counting_sequences(96)
model = CausalLM()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
updates = EPOCHS * len(data) // MICRO // ACCUMULATE
warmup = 6


def factor(update):
    if update < warmup:
        return (update + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - warmup) / (updates - warmup))))


scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    batches = data[torch.randperm(len(data))].split(MICRO)
    for number, batch in enumerate(batches, start=1):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        (loss / ACCUMULATE).backward()
        total += loss.item()
        if number % ACCUMULATE == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(held_out[:, :-1])
        val = F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten()).item()
    print(f"epoch {epoch} train {total / len(batches):.3f} val {val:.3f} lr {scheduler.get_last_lr()[0]:.5f}")

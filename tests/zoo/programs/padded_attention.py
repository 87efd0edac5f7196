"""A transformer on padded sequences with a key padding mask, a masked mean and a masked loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class MaskedMean(nn.Module):
    def forward(self, h, mask):
        weights = mask.unsqueeze(-1).to(h.dtype)
        return (h * weights).sum(1) / weights.sum(1).clamp(min=1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.pool = MaskedMean()
        self.per_token = nn.Linear(16, 1)
        self.per_text = nn.Linear(16, 1)

    def forward(self, tokens):
        mask = tokens != 0
        h = self.encoder(self.embed(tokens), src_key_padding_mask=~mask)
        return self.per_token(h).squeeze(-1), self.per_text(self.pool(h, mask)).squeeze(-1), mask


torch.manual_seed(0)
lengths = torch.randint(2, 8, (128,))
tokens = torch.randint(1, 11, (128, 7)) * (torch.arange(7) < lengths[:, None])
model = Model()
optimizer = torch.optim.NAdam(model.parameters(), lr=5e-3)
curve = []
for epoch in range(6):
    model.train()
    for batch in tokens[torch.randperm(128)].split(32):
        batch = batch[:, : int((batch != 0).sum(1).max())]
        each, whole, mask = model(batch)
        per_token = F.mse_loss(each, batch / 10.0, reduction="none")
        loss = (per_token * mask).sum() / mask.sum() + F.mse_loss(whole, batch.sum(1) / mask.sum(1) / 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    model.eval()
    with torch.no_grad():
        model(tokens)
assert sum(curve[-4:]) < sum(curve[:4])

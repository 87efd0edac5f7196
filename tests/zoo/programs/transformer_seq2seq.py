import torch
import torch.nn as nn


class Seq2SeqTransformer(nn.Module):
    def __init__(self, vocab=10, d=24):
        super().__init__()
        self.src, self.tgt, self.pos = nn.Embedding(vocab, d), nn.Embedding(vocab, d), nn.Parameter(0.1 * torch.randn(16, 1, d))
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(d, 4, 48), 1, nn.LayerNorm(d), enable_nested_tensor=False)
        self.transformer = nn.Transformer(d, 4, 1, 1, 48, dropout=0.1, custom_encoder=encoder)
        self.generator = nn.Linear(d, vocab)

    def forward(self, src, tgt, src_padding, tgt_padding):
        tgt_mask = torch.triu(torch.ones(tgt.size(0), tgt.size(0), dtype=torch.bool), 1)
        s, t = self.src(src) + self.pos[: len(src)], self.tgt(tgt) + self.pos[: len(tgt)]
        outs = self.transformer(s, t, tgt_mask=tgt_mask, src_key_padding_mask=src_padding, tgt_key_padding_mask=tgt_padding, memory_key_padding_mask=src_padding)
        return self.generator(outs)


PAD, BOS, EOS = 0, 1, 2


def batch(n=32):
    src = torch.full((5, n), PAD)
    tgt = torch.full((7, n), PAD)
    for i in range(n):
        k = int(torch.randint(2, 6, (1,)))
        word = torch.randint(3, 10, (k,))
        src[:k, i] = word
        tgt[: k + 2, i] = torch.cat([torch.tensor([BOS]), word.sort().values, torch.tensor([EOS])])
    return src, tgt


torch.manual_seed(0)
model = Seq2SeqTransformer()
for p in model.parameters():
    if p.dim() > 1:
        nn.init.xavier_uniform_(p)
loss_fn = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98), eps=1e-9)
losses = []
for it in range(50):
    model.train()
    src, tgt = batch()
    tgt_input = tgt[:-1, :]
    logits = model(src, tgt_input, (src == PAD).T, (tgt_input == PAD).T)
    optimizer.zero_grad()
    tgt_out = tgt[1:, :]
    loss = loss_fn(logits.reshape(-1, logits.shape[-1]), tgt_out.reshape(-1))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if it % 25 == 24:
        model.eval()
        with torch.no_grad():
            src, tgt = batch(8)
            model(src, tgt[:-1], (src == PAD).T, (tgt[:-1] == PAD).T)
assert sum(losses[-5:]) < 0.9 * sum(losses[:5]), losses

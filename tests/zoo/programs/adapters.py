"""Bottleneck adapters between the frozen layers of a transformer encoder, and a new head."""
import torch
import torch.nn as nn


class Adapter(nn.Module):
    def __init__(self, d_model, bottleneck=4):
        super().__init__()
        self.down = nn.Linear(d_model, bottleneck)
        self.up = nn.Linear(bottleneck, d_model)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h):
        return h + self.up(torch.relu(self.down(h)))


class Classifier(nn.Module):
    def __init__(self, vocab=16, d_model=16, classes=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(d_model, 2, 32, batch_first=True) for _ in range(2))
        self.adapters = nn.ModuleList(Adapter(d_model) for _ in range(2))
        self.head = nn.Linear(d_model, classes)
        for frozen in (self.embed, self.layers):
            for p in frozen.parameters():
                p.requires_grad = False

    def forward(self, tokens):
        h = self.embed(tokens)
        for layer, adapter in zip(self.layers, self.adapters):
            h = adapter(layer(h))
        return self.head(h.mean(dim=1))


if __name__ == "__main__":
    torch.manual_seed(0)
    tokens = torch.randint(16, (160, 6))
    labels = ((tokens < 8).sum(1) > 3).long()
    model = Classifier()
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=2e-2)
    loss_fn = nn.CrossEntropyLoss()
    history = []
    for epoch in range(6):
        model.train()
        running = 0.0
        for i in range(0, 160, 32):
            optimizer.zero_grad()
            loss = loss_fn(model(tokens[i : i + 32]), labels[i : i + 32])
            loss.backward()
            optimizer.step()
            running += loss.item()
        history.append(running / 5)
        model.eval()
        with torch.inference_mode():
            model(tokens[:32]).argmax(1)
    assert history[-1] < history[0], history

import torch
from torch import nn
from torch.nn import functional as F


class Retriever(nn.Module):
    def __init__(self, d_text=10, d_image=14, d=8):
        super().__init__()
        self.text = nn.Linear(d_text, d)
        self.image = nn.Linear(d_image, d)
        self.temperature = torch.ones(1, requires_grad=True)

    def forward(self, text, image):
        a = F.normalize(self.text(text), dim=-1)
        b = F.normalize(self.image(image), dim=-1)
        return a @ b.T * self.temperature.exp()


torch.manual_seed(6)
to_text, to_image = torch.randn(5, 10), torch.randn(5, 14)
model = Retriever()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step in range(1, 151):
    meaning = torch.randn(32, 5)
    logits = model(meaning @ to_text, meaning @ to_image)
    pair = torch.arange(32)
    loss = (F.cross_entropy(logits, pair) + F.cross_entropy(logits.T, pair)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(f"{step:4d} {loss.item():.4f}")

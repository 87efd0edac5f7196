import torch
from torch import nn
from torch.nn import functional as F


class Matcher(nn.Module):
    """Does the answer belong to the question?"""

    def __init__(self, vocabulary=30, width=16):
        super().__init__()
        self.tokens = nn.EmbeddingBag(vocabulary, width)
        self.project = nn.Linear(width, width)
        self.compare = nn.Bilinear(width, width, 1)

    @torch.no_grad()
    def embed(self, text):
        return torch.tanh(self.project(self.tokens(text)))

    def forward(self, question, answer):
        return self.compare(self.embed(question), self.embed(answer)).squeeze(-1)


def pairs(n):
    topic = torch.randint(0, 3, (n, 1))
    question = topic * 10 + torch.randint(0, 10, (n, 6))
    fits = torch.rand(n) < 0.5
    other = torch.where(fits[:, None], topic, (topic + 1) % 3)
    answer = other * 10 + torch.randint(0, 10, (n, 6))
    return question, answer, fits.float()


torch.manual_seed(9)
model = Matcher()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
for step in range(1, 121):
    question, answer, fits = pairs(64)
    loss = F.binary_cross_entropy_with_logits(model(question, answer), fits)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(f"step {step}: {loss.item():.4f}")

"""Questions or statements? A recurrent encoder, the maximum over time, a linear judge."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Judge(nn.Module):
    def __init__(self, vocabulary=25, width=16):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.judge = nn.Linear(width, 2)

    def forward(self, sentence):
        states, _ = self.encoder(self.words(sentence))
        pooled = states.max(1).values
        return self.judge(pooled)


def corpus(n):
    sentences = torch.randint(2, 25, (n, 9))
    is_question = torch.rand(n) < 0.5
    where = torch.randint(0, 9, (n,))
    sentences[is_question, where[is_question]] = 1
    return TensorDataset(sentences, is_question.long())


torch.manual_seed(12)
train_loader = DataLoader(corpus(600), batch_size=50, shuffle=True)
model = Judge()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(6):
    seen = 0.0
    for sentence, label in train_loader:
        loss = nn.functional.cross_entropy(model(sentence), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += loss.item() * len(label)
    print(f"epoch {epoch}: {seen / 600:.4f}")

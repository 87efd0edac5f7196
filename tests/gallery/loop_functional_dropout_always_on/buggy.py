import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Sentiment(nn.Module):
    def __init__(self, vocabulary=40):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocabulary, 24)
        self.hidden = nn.Linear(24, 24)
        self.out = nn.Linear(24, 2)

    def forward(self, tokens):
        x = self.bag(tokens)
        h = F.dropout(torch.relu(self.hidden(x)), p=0.5)
        return self.out(h)


def reviews(n):
    mood = torch.randint(0, 2, (n,))
    tokens = torch.randint(0, 40, (n, 12))
    tokens[:, :4] = torch.randint(0, 10, (n, 4)) + 10 * mood[:, None]
    return TensorDataset(tokens, mood)


if __name__ == "__main__":
    torch.manual_seed(0)
    train, test = DataLoader(reviews(600), batch_size=50, shuffle=True), DataLoader(reviews(200), batch_size=100)
    model = Sentiment()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(4):
        model.train()
        for tokens, mood in train:
            optimizer.zero_grad()
            F.cross_entropy(model(tokens), mood).backward()
            optimizer.step()
        model.eval()
        right = 0
        with torch.no_grad():
            for tokens, mood in test:
                right += (model(tokens).argmax(1) == mood).sum().item()
        print(f"epoch {epoch}: {right / 200:.3f}")

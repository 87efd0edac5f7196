"""A linear-chain CRF over a BiLSTM, by hand, with broadcasts that are meant."""
import torch
from torch import nn


class CRF(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.start, self.end = nn.Parameter(torch.zeros(tags)), nn.Parameter(torch.zeros(tags))

    def forward(self, emissions, tags):
        return (self.partition(emissions) - self.score(emissions, tags)).mean()

    def score(self, emissions, tags):
        picked = emissions.gather(2, tags.unsqueeze(2)).squeeze(2).sum(1)
        return picked + self.start[tags[:, 0]] + self.end[tags[:, -1]] + self.transitions[tags[:, :-1], tags[:, 1:]].sum(1)

    def partition(self, emissions):
        alpha = self.start + emissions[:, 0]
        for i in range(1, emissions.size(1)):
            alpha = torch.logsumexp(alpha.unsqueeze(2) + self.transitions + emissions[:, i].unsqueeze(1), dim=1)
        return torch.logsumexp(alpha + self.end, dim=1)

    @torch.no_grad()
    def decode(self, emissions):
        score, history = self.start + emissions[:, 0], []
        for i in range(1, emissions.size(1)):
            best, index = (score[:, :, None] + self.transitions + emissions[:, i, None, :]).max(dim=1)
            score = best
            history.append(index)
        tag = (score + self.end).argmax(1)
        path = [tag]
        for index in reversed(history):
            tag = index.gather(1, tag[:, None]).squeeze(1)
            path.append(tag)
        return torch.stack(path[::-1], 1)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.fc, self.crf = nn.Embedding(12, 8), nn.LSTM(8, 8, bidirectional=True, batch_first=True), nn.Linear(16, 3), CRF(3)

    def emissions(self, words):
        return self.fc(self.lstm(self.embed(words))[0])

    def forward(self, words, tags):
        return self.crf(self.emissions(words), tags)


torch.manual_seed(0)
model = Tagger()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for step in range(50):
    words = torch.randint(12, (16, 6))
    tags = torch.where(words > 8, 2, torch.where(words > 4, 1, 0))
    opt.zero_grad()
    nll = model(words, tags)
    nll.backward()
    opt.step()
    losses.append(nll.item())
model.eval()
with torch.no_grad():
    right = (model.crf.decode(model.emissions(words)) == tags).float().mean()
assert losses[-1] < losses[0] and right > 0.5

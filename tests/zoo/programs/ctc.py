import torch
from torch import nn

torch.manual_seed(0)
ALPHABET = 5


class Recognizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 16, 3, padding=1)
        self.rnn = nn.GRU(16, 16, bidirectional=True)
        self.fc = nn.Linear(32, ALPHABET)

    def forward(self, x):
        h = torch.relu(self.conv(x)).permute(2, 0, 1)
        h, _ = self.rnn(h)
        return self.fc(h).log_softmax(2)


def speak(words):
    """Each letter sounds for three frames on its own channel."""
    frames = torch.zeros(len(words), 4, 12)
    for i, word in enumerate(words):
        for j, letter in enumerate(word.tolist()):
            frames[i, letter - 1, 3 * j : 3 * j + 3] = 1
    return frames + 0.1 * torch.randn_like(frames)


def greedy(log_probs):
    best = log_probs.argmax(2).T
    return [[k for k in torch.unique_consecutive(row).tolist() if k != 0] for row in best]


model = Recognizer()
ctc_loss = nn.CTCLoss(blank=0, zero_infinity=True)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for step in range(40):
    words = [torch.randint(1, ALPHABET, (int(n),)) for n in torch.randint(2, 5, (16,))]
    log_probs = model(speak(words))
    input_lengths = torch.full((16,), log_probs.size(0), dtype=torch.long)
    target_lengths = torch.tensor([len(w) for w in words])
    loss = ctc_loss(log_probs, torch.cat(words), input_lengths, target_lengths)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
model.eval()
with torch.no_grad():
    greedy(model(speak(words)))
assert losses[-1] < losses[0]

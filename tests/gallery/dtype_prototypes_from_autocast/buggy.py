# Match pictures to class names: the text tower is frozen and only an adapter for the pictures learns.
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(21)
N_CLASSES, DIM = 8, 32


class TextTower(nn.Module):
    def __init__(self, vocab=100, dim=DIM):
        super().__init__()
        self.tokens = nn.Embedding(vocab, 64)
        self.mix = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, dim))

    def forward(self, ids):
        return self.mix(self.tokens(ids).mean(dim=1))


class Adapter(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 64), nn.ReLU(), nn.Linear(64, DIM))
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, pixels, bank):
        z = F.normalize(self.net(pixels), dim=1)
        return self.temperature.exp() * z @ F.normalize(bank, dim=1).T


def embed_class_names(tower, ids):
    """Done once, so in half the memory."""
    tower.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        bank = tower(ids)
    return bank


text_tower = TextTower().requires_grad_(False)
class_names = torch.randint(0, 100, (N_CLASSES, 4))
bank = embed_class_names(text_tower, class_names)

centres = torch.randn(N_CLASSES, 40)
labels = torch.randint(0, N_CLASSES, (1200,))
pixels = centres[labels] + 0.9 * torch.randn(1200, 40)
train = DataLoader(TensorDataset(pixels[:1000], labels[:1000]), batch_size=50, shuffle=True)

adapter = Adapter(40)
opt = torch.optim.AdamW(adapter.parameters(), lr=3e-3)
for epoch in range(6):
    adapter.train()
    for x, y in train:
        loss = F.cross_entropy(adapter(x, bank), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    adapter.eval()
    with torch.no_grad():
        guess = adapter(pixels[1000:], bank).argmax(1)
    print(epoch, f"{loss.item():.3f}", f"{(guess == labels[1000:]).float().mean().item():.2%}")

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

PEOPLE, PHOTO = 25, 64


class Pairs(Dataset):
    """Two photos of one person (same = 1) or of two (same = 0)."""

    def __init__(self, faces, n, g):
        who = torch.randint(0, PEOPLE, (n,), generator=g)
        step = torch.randint(1, PEOPLE, (n,), generator=g)
        self.same = (torch.arange(n) % 2).float()
        other = torch.where(self.same.bool(), who, (who + step) % PEOPLE)
        self.a = faces[who] + 0.4 * torch.randn(n, PHOTO, generator=g)
        self.b = faces[other] + 0.4 * torch.randn(n, PHOTO, generator=g)

    def __len__(self):
        return len(self.same)

    def __getitem__(self, i):
        return self.a[i], self.b[i], self.same[i]


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PHOTO, 96), nn.ReLU())
        self.projector = nn.Sequential(nn.Linear(96, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16))

    def embed(self, photo):
        return F.normalize(self.projector(self.encoder(photo)), dim=1)

    def forward(self, a, b):
        return self.embed(a), self.embed(b)


def contrastive(za, zb, same, margin=1.0):
    d = F.pairwise_distance(za, zb)
    return (same * d.pow(2) + (1 - same) * F.relu(margin - d).pow(2)).mean()


torch.manual_seed(10)
g = torch.Generator().manual_seed(10)
faces = torch.randn(PEOPLE, PHOTO, generator=g)
train_set, test_set = Pairs(faces, 481, g), Pairs(faces, 120, g)
loader = DataLoader(train_set, batch_size=32, shuffle=True)
test_loader = DataLoader(test_set, batch_size=60)

model = Siamese()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(8):
    model.train()
    losses = []
    for a, b, same in loader:
        optimizer.zero_grad()
        loss = contrastive(*model(a, b), same)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    hits = 0
    with torch.no_grad():
        for a, b, same in test_loader:
            near = F.pairwise_distance(*model(a, b)) < 0.7
            hits += (near == same.bool()).sum().item()
    print(f"epoch {epoch}: contrastive {sum(losses) / len(losses):.4f}, verified {hits / len(test_set):.2f}")

"""Online clustering: Sinkhorn normalises over the batch and over the prototypes, DINO centres over the batch."""
import torch
import torch.nn as nn
import torch.nn.functional as F


@torch.no_grad()
def sinkhorn(scores, iterations=3, epsilon=0.1):
    Q = torch.exp(scores / epsilon).t()
    Q /= Q.sum()
    K, B = Q.shape
    for _ in range(iterations):
        Q /= Q.sum(dim=1, keepdim=True)
        Q /= K
        Q /= Q.sum(dim=0, keepdim=True)
        Q /= B
    return (Q * B).t()


class DINOLoss(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("center", torch.zeros(1, dim))

    def forward(self, student, teacher):
        targets = F.softmax((teacher - self.center) / 0.04, dim=-1).detach()
        loss = torch.sum(-targets * F.log_softmax(student / 0.1, dim=-1), dim=-1).mean()
        self.center = self.center * 0.9 + teacher.mean(dim=0, keepdim=True).detach() * 0.1
        return loss


torch.manual_seed(0)
data = 2 * torch.randn(5, 8)[torch.randint(5, (320,))] + 0.2 * torch.randn(320, 8)
encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
prototypes = nn.Linear(8, 10, bias=False)
opt = torch.optim.SGD([*encoder.parameters(), *prototypes.parameters()], lr=0.1, momentum=0.9)
losses = []
for epoch in range(4):
    for x in data[torch.randperm(320)].split(64):
        with torch.no_grad():
            prototypes.weight.copy_(F.normalize(prototypes.weight, dim=1))
        s1 = prototypes(F.normalize(encoder(x + 0.1 * torch.randn_like(x)), dim=1))
        s2 = prototypes(F.normalize(encoder(x + 0.1 * torch.randn_like(x)), dim=1))
        q1, q2 = sinkhorn(s1), sinkhorn(s2)
        loss = -0.5 * ((q1 * F.log_softmax(s2 / 0.1, dim=1)).sum(1) + (q2 * F.log_softmax(s1 / 0.1, dim=1)).sum(1)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
assert losses[-1] < losses[0], losses

student = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 6))
teacher = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 6))
teacher.load_state_dict(student.state_dict())
for p in teacher.parameters():
    p.requires_grad = False
criterion = DINOLoss(6)
opt = torch.optim.AdamW(student.parameters(), lr=3e-3)
losses = []
for step in range(40):
    x = data[torch.randint(320, (64,))]
    loss = criterion(student(x + 0.1 * torch.randn_like(x)), teacher(x))
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for q, k in zip(student.parameters(), teacher.parameters()):
            k.data.mul_(0.95).add_(0.05 * q.detach().data)
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5]), losses

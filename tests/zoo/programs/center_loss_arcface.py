"""Two optimizers over one loss: features and class centres; then an angular margin head."""
import torch
from torch import nn
from torch.nn import functional as F


class CenterLoss(nn.Module):
    def __init__(self, classes, dim):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, dim))

    def forward(self, x, labels):
        n, c = x.size(0), self.centers.size(0)
        distmat = torch.pow(x, 2).sum(dim=1, keepdim=True).expand(n, c) + torch.pow(self.centers, 2).sum(dim=1, keepdim=True).expand(c, n).t()
        distmat = torch.addmm(distmat, x, self.centers.t(), beta=1, alpha=-2)
        mask = labels.unsqueeze(1).expand(n, c).eq(torch.arange(c).expand(n, c))
        return (distmat * mask.float()).clamp(min=1e-12, max=1e12).sum() / n


class ArcFace(nn.Module):
    def __init__(self, dim, classes, s=8.0, m=0.2):
        super().__init__()
        self.weight, self.s, self.m = nn.Parameter(torch.empty(classes, dim)), s, m
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x, label):
        cosine = F.linear(F.normalize(x), F.normalize(self.weight)).clamp(-1 + 1e-6, 1 - 1e-6)
        one_hot = torch.zeros_like(cosine).scatter_(1, label.view(-1, 1), 1)
        return self.s * torch.cos(torch.acos(cosine) + self.m * one_hot)


torch.manual_seed(0)
net, clf, center, arc = nn.Sequential(nn.Linear(6, 24), nn.PReLU(), nn.Linear(24, 2)), nn.Linear(2, 3), CenterLoss(3, 2), ArcFace(2, 3)
opt_model = torch.optim.SGD([*net.parameters(), *clf.parameters(), *arc.parameters()], lr=0.05, momentum=0.9)
opt_center = torch.optim.SGD(center.parameters(), lr=0.5)
losses = []
for step in range(80):
    y = torch.randint(3, (48,))
    x = torch.randn(48, 6) + F.one_hot(y, 6) * 2
    features = net(x)
    loss = F.cross_entropy(clf(features), y) + 0.1 * center(features, y) + F.cross_entropy(arc(features, y), y)
    opt_model.zero_grad()
    opt_center.zero_grad()
    loss.backward()
    opt_model.step()
    for p in center.parameters():
        p.grad.data *= 10.0
    opt_center.step()
    losses.append(loss.item())
assert sum(losses[-5:]) < sum(losses[:5])

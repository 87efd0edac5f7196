"""Losses over all pairs or over the ranks of a batch: RankNet, ListNet, Cox's partial likelihood."""
import torch
from torch import nn
from torch.nn import functional as F


def ranknet(scores, relevance):
    differences = scores.unsqueeze(1) - scores.unsqueeze(0)
    wanted = (relevance[:, None] > relevance[None, :]).float()
    mask = relevance[:, None] != relevance[None, :]
    return F.binary_cross_entropy_with_logits(differences[mask], wanted[mask])


def listnet(scores, relevance):
    return -(F.softmax(relevance, dim=0) * F.log_softmax(scores, dim=0)).sum()


def cox(risk, relevance):
    order = torch.argsort(relevance, descending=True)
    risk = risk[order]
    return -(risk - torch.logcumsumexp(risk, dim=0)).mean()


def ccc(scores, relevance):
    """Lin's concordance."""
    ms, mr = scores.mean(), relevance.mean()
    cov = ((scores - ms) * (relevance - mr)).mean()
    return 1 - 2 * cov / (scores.var(unbiased=False) + relevance.var(unbiased=False) + (ms - mr) ** 2)


torch.manual_seed(0)
for criterion in (ranknet, listnet, cox, ccc):
    net = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 1))
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for step in range(30):
        x = torch.randn(20, 5)
        relevance = x[:, 0] + 0.5 * x[:, 1]
        loss = criterion(net(x).squeeze(-1), -relevance if criterion is cox else relevance)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5]), criterion

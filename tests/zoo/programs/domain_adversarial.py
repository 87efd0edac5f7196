"""Gradient reversal by a custom Function, two loaders side by side, and an MMD term."""
import torch
from torch import nn
from torch.autograd import Function
from torch.utils.data import DataLoader, TensorDataset


class ReverseLayerF(Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.alpha, None


def mmd(a, b):
    xx, yy, xy = torch.cdist(a, a), torch.cdist(b, b), torch.cdist(a, b)
    return torch.exp(-xx.pow(2)).mean() + torch.exp(-yy.pow(2)).mean() - 2 * torch.exp(-xy.pow(2)).mean()


class DANN(nn.Module):
    def __init__(self):
        super().__init__()
        self.feature = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
        self.class_classifier = nn.Linear(16, 2)
        self.domain_classifier = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x, alpha):
        feature = self.feature(x)
        return self.class_classifier(feature), self.domain_classifier(ReverseLayerF.apply(feature, alpha)), feature


torch.manual_seed(0)
xs, xt = torch.randn(128, 4), torch.randn(128, 4) + 0.5
source = DataLoader(TensorDataset(xs, (xs[:, 0] > 0).long()), 32, shuffle=True)
target = DataLoader(TensorDataset(xt), 32, shuffle=True)
net = DANN()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
losses = []
for epoch in range(5):
    for i, ((s, y), (t,)) in enumerate(zip(source, target)):
        alpha = 2.0 / (1 + 2.718 ** (-epoch)) - 1
        net.zero_grad()
        class_output, domain_s, f_s = net(s, alpha)
        _, domain_t, f_t = net(t, alpha)
        err = nn.functional.cross_entropy(class_output, y)
        err_d = nn.functional.cross_entropy(domain_s, torch.zeros(32).long()) + nn.functional.cross_entropy(domain_t, torch.ones(32).long())
        (err + err_d + 0.1 * mmd(f_s, f_t)).backward()
        opt.step()
        losses.append(err.item())
assert losses[-1] < losses[0]

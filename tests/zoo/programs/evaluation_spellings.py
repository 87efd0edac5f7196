"""One training, evaluated in ten ways."""
import contextlib

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(160, 6)
y = (x[:, 0] > x[:, 1]).long()
train_dl = DataLoader(TensorDataset(x[:120], y[:120]), batch_size=30, shuffle=True)
val_dl = DataLoader(TensorDataset(x[120:], y[120:]), batch_size=16)
net = nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, 2))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
loss_fn = nn.CrossEntropyLoss()


def with_no_grad():
    net.eval()
    with torch.no_grad():
        return sum(loss_fn(net(a), b).item() for a, b in val_dl)


@torch.no_grad()
def decorated():
    net.eval()
    return torch.cat([net(a).argmax(dim=-1) == b for a, b in val_dl]).float().mean().item()


@torch.inference_mode()
def inference():
    net.eval()
    correct = 0
    for a, b in val_dl:
        correct += (net(a).max(1)[1] == b).type(torch.float).sum().item()
    return correct / len(val_dl.dataset)


def train_false():
    net.train(False)
    with torch.set_grad_enabled(False):
        return [net(a).softmax(-1).max(-1).values.mean().item() for a, _ in val_dl]


def grad_switched_by_hand():
    net.eval()
    torch.set_grad_enabled(False)
    out = [net(a) for a, _ in val_dl]
    torch.set_grad_enabled(True)
    return out


@contextlib.contextmanager
def evaluating(model):
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.train(was)


def by_context():
    with evaluating(net) as model:
        return model(x[120:])


def each_module():
    for module in net.modules():
        module.training = False
    with torch.no_grad():
        net(x[:4])


def one_sample():
    net.eval()
    with torch.no_grad():
        return [int(net(row.unsqueeze(0)).squeeze(0).argmax()) for row in x[120:126]]


def detached_with_graph():
    net.eval()
    return net(x[120:]).detach().numpy().argmax(1)


def accuracy_during_training(out, b):
    return (out.detach().argmax(1) == b).sum().item()


def numpy_metrics():
    net.eval()
    preds, targets = [], []
    with torch.no_grad():
        for a, b in val_dl:
            preds.extend(net(a).argmax(1).tolist())
            targets.extend(b.tolist())
    return sum(p == t for p, t in zip(preds, targets)) / len(targets)


evaluations = [with_no_grad, decorated, inference, train_false, grad_switched_by_hand, by_context, each_module, one_sample, detached_with_graph, numpy_metrics]
losses = []
for epoch in range(len(evaluations)):
    net.train()
    total = 0.0
    for a, b in train_dl:
        out = net(a)
        loss = loss_fn(out, b)
        opt.zero_grad()
        loss.backward()
        opt.step()
        accuracy_during_training(out, b)
        total += loss.item()
    losses.append(total)
    evaluations[epoch]()
for evaluate in evaluations:
    evaluate()
assert losses[-1] < losses[0] and decorated() > 0.6

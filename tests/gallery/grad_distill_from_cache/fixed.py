import torch
import torch.nn as nn
import torch.nn.functional as F

T = 3.0
ALPHA = 0.7


def spirals(n, arms=3):
    label = torch.arange(n) % arms
    r = torch.rand(n) * 2 + 0.2
    phi = 1.6 * r + label * (2 * torch.pi / arms) + 0.15 * torch.randn(n)
    return torch.stack([r * phi.cos(), r * phi.sin()], dim=1), label


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train_teacher(x, y):
    teacher = mlp(2, 96, 96, 3)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(teacher(x), y).backward()
        optimizer.step()
    return teacher.eval()


@torch.no_grad()
def soft_labels(teacher, x):
    """The teacher is asked once; its answers are kept for all epochs."""
    return torch.cat([F.softmax(teacher(part) / T, dim=1) for part in x.split(128)])


def distill(student, batches, lr, epochs):
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr)
    for epoch in range(epochs):
        student.train()
        kd_sum = ce_sum = 0.0
        for x, y, soft in batches:
            logits = student(x)
            kd = F.kl_div(F.log_softmax(logits / T, dim=1), soft, reduction="batchmean") * T * T
            ce = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            (ALPHA * kd + (1 - ALPHA) * ce).backward()
            optimizer.step()
            kd_sum += kd.item()
            ce_sum += ce.item()
        print(f"epoch {epoch} kd {kd_sum / len(batches):.4f} ce {ce_sum / len(batches):.4f}")


torch.manual_seed(17)
x, y = spirals(768)
teacher = train_teacher(x, y)
batches = list(zip(x.split(64), y.split(64), soft_labels(teacher, x).split(64)))
student = mlp(2, 24, 3)
distill(student, batches, lr=1e-2, epochs=12)

student.eval()
x_test, y_test = spirals(300)
with torch.no_grad():
    print("teacher", (teacher(x_test).argmax(1) == y_test).float().mean().item())
    print("student", (student(x_test).argmax(1) == y_test).float().mean().item())

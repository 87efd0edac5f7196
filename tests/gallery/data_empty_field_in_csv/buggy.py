import csv
import io
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


def export_table(n=400):
    """What the bank's system writes: a few customers did not tell their income."""
    rnd = random.Random(3)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["age", "income", "debt", "repaid"])
    for i in range(n):
        age, income, debt = rnd.randint(20, 70), rnd.uniform(15, 90), rnd.uniform(0, 50)
        repaid = int(income - 1.2 * debt + 0.2 * age + rnd.gauss(0, 5) > 28)
        writer.writerow([age, "" if i in (171, 338) else f"{income:.1f}", f"{debt:.1f}", repaid])
    return out.getvalue()


class Customers(Dataset):
    columns = ("age", "income", "debt")

    def __init__(self, text):
        self.rows = list(csv.DictReader(io.StringIO(text)))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = self.rows[i]
        x = torch.tensor([float(row[c]) / 50 for c in self.columns])
        return x, torch.tensor([float(row["repaid"])])


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Parameter(0.5 * torch.randn(3, 16))
        self.b1 = nn.Parameter(torch.zeros(16))
        self.w2 = nn.Parameter(0.3 * torch.randn(16, 1))
        self.b2 = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return F.softplus(x @ self.w1 + self.b1) @ self.w2 + self.b2


torch.manual_seed(3)
customers = Customers(export_table())
loader = DataLoader(customers, batch_size=25, shuffle=True)
scorer = Scorer()
opt = torch.optim.Adam(scorer.parameters(), lr=0.02)

for epoch in range(6):
    total, right = 0.0, 0
    for x, y in loader:
        logit = scorer(x)
        loss = F.binary_cross_entropy_with_logits(logit, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
        right += ((logit > 0) == (y > 0.5)).sum().item()
    print(f"epoch {epoch}: loss {total / len(loader):.4f}, right {right / len(customers):.3f}")

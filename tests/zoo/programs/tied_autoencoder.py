import torch
import torch.nn as nn
import torch.nn.functional as F


class TiedAutoencoder(nn.Module):
    """The decoder is the encoder's transpose; denoising, sparse."""

    def __init__(self, n=20, h=8):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(h, n))
        nn.init.xavier_uniform_(self.weight)
        self.b, self.c = nn.Parameter(torch.zeros(h)), nn.Parameter(torch.zeros(n))

    def forward(self, x):
        code = torch.sigmoid(F.linear(x, self.weight, self.b))
        return F.linear(code, self.weight.t(), self.c), code


torch.manual_seed(0)
basis = torch.randn(3, 20)
model = TiedAutoencoder()
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)
losses = []
for step in range(80):
    clean = torch.rand(40, 3) @ basis
    out, code = model(clean + 0.1 * torch.randn_like(clean))
    rho = code.mean(0)
    sparsity = (0.1 * torch.log(0.1 / rho) + 0.9 * torch.log(0.9 / (1 - rho))).sum()
    loss = F.mse_loss(out, clean) + 1e-3 * sparsity
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

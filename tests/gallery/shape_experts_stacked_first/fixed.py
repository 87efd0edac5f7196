# A small mixture of experts that fits a piecewise function.
import torch
import torch.nn as nn


class Expert(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d_in, 24), nn.ReLU(), nn.Linear(24, d_out))

    def forward(self, x):
        return self.net(x)


class MixtureOfExperts(nn.Module):
    def __init__(self, d_in, d_out, n_experts):
        super().__init__()
        self.experts = nn.ModuleList(Expert(d_in, d_out) for _ in range(n_experts))
        self.router = nn.Linear(d_in, n_experts)

    def forward(self, x):
        gates = self.router(x).softmax(dim=-1)
        outs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return torch.einsum("be,bed->bd", gates, outs), gates


def piecewise(x, maps):
    """Another linear map in each quadrant of the first two inputs."""
    quadrant = 2 * (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    return torch.einsum("bi,bij->bj", x, maps[quadrant])


def load_balance(gates):
    usage = gates.mean(dim=0)
    return (usage * usage).sum() * len(usage)


def main(steps=250, batch=64, d_in=6, d_out=16, n_experts=4):
    torch.manual_seed(12)
    maps = torch.randn(4, d_in, d_out)
    model = MixtureOfExperts(d_in, d_out, n_experts)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-2)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=steps)
    mse = nn.MSELoss()
    for step in range(steps):
        x = torch.randn(batch, d_in)
        y = piecewise(x, maps)
        prediction, gates = model(x)
        loss = mse(prediction, y) + 0.01 * load_balance(gates)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:4d} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()

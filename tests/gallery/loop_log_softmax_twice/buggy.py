import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(31)
households, brands = 420, 4
income = torch.randn(households, 1)
size = torch.randint(1, 6, (households, 1)).float()
x = torch.cat([income, (size - 3) / 2], 1)
utility = torch.tensor([[0.2, 1.0], [1.5, -0.5], [-1.0, 0.3], [0.0, 0.0]])
chosen = torch.distributions.Categorical(logits=2 * x @ utility.T).sample()

mnl = nn.Linear(2, brands)
opt = torch.optim.Adam(mnl.parameters(), lr=0.05)
for iteration in range(1, 101):
    logits = mnl(x)
    log_probs = torch.log_softmax(logits, dim=-1)
    nll = F.cross_entropy(log_probs, chosen)
    opt.zero_grad()
    nll.backward()
    opt.step()
    if iteration % 25 == 0:
        hits = (log_probs.argmax(-1) == chosen).float().mean().item()
        print(f"{iteration:3d}: nll {nll.item():.4f}, hits {hits:.3f}")

"""LoRA on a frozen network that was trained before."""
import math

import torch
from torch import nn


class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, r: int = 2, alpha: float = 4.0):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(r, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.scaling = alpha / r

    def forward(self, x):
        return self.base(x) + self.scaling * (x @ self.lora_a.T @ self.lora_b.T)


def add_lora(module):
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, LoRALinear(child))
        else:
            add_lora(child)


torch.manual_seed(0)
x = torch.randn(128, 8)
net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
pretrain = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(20):
    pretrain.zero_grad()
    nn.functional.mse_loss(net(x), x[:, :1]).backward()
    pretrain.step()

add_lora(net)
trainable = [p for p in net.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=1e-2)
new_y = x[:, :1] + x[:, 1:2]
losses = []
for epoch in range(40):
    net.train()
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x), new_y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < 0.7 * losses[0], losses

"""ULMFiT's way: one group more is thawed each epoch, with discriminative learning rates."""
import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.ModuleDict({"embed": nn.EmbeddingBag(30, 16), "body": nn.Sequential(nn.Linear(16, 16), nn.ReLU()), "head": nn.Linear(16, 2)})


def predict(tokens):
    return net["head"](net["body"](net["embed"](tokens)))


groups = [net["head"], net["body"], net["embed"]]
for group in groups[1:]:
    group.requires_grad_(False)
opt = torch.optim.Adam(net["head"].parameters(), lr=2e-2)
tokens = torch.randint(30, (160, 6))
target = ((tokens < 15).sum(1) > 3).long()
losses = []
for epoch in range(6):
    if 0 < epoch < 3:
        groups[epoch].requires_grad_(True)
        opt.add_param_group({"params": groups[epoch].parameters(), "lr": 2e-2 / 2**epoch})
    for i in range(0, 160, 40):
        loss = nn.functional.cross_entropy(predict(tokens[i : i + 40]), target[i : i + 40])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
assert sum(losses[-4:]) < sum(losses[:4]), losses

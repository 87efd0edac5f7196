"""The input is what learns; the network is frozen. Then a soft prompt, and an adversarial patch."""
import torch
from torch import nn

torch.manual_seed(0)
vgg = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()).eval()
for p in vgg.parameters():
    p.requires_grad_(False)


def gram_matrix(features):
    a, b, c, d = features.size()
    flat = features.view(a * b, c * d)
    return torch.mm(flat, flat.t()).div(a * b * c * d)


content, style = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16).round()
target = gram_matrix(vgg(style)).detach()
image = content.clone().requires_grad_(True)
optimizer = torch.optim.LBFGS([image])
run = []
while len(run) < 20:

    def closure():
        with torch.no_grad():
            image.clamp_(0, 1)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(gram_matrix(vgg(image)), target) * 1e4 + 0.1 * nn.functional.mse_loss(image, content)
        loss.backward()
        run.append(loss.item())
        return loss

    optimizer.step(closure)
assert run[-1] < run[0]

lm = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8)).requires_grad_(False)
prompt = torch.zeros(1, 8, requires_grad=True)
opt = torch.optim.Adam([prompt], lr=0.05)
inputs = torch.randn(32, 8)
wanted = lm(inputs + 0.5).detach()
losses = []
for step in range(30):
    loss = nn.functional.mse_loss(lm(inputs + prompt), wanted)
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]

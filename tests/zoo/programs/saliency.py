"""Train, then look: saliency, integrated gradients, Grad-CAM with hooks, SmoothGrad."""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.fc = nn.Linear(6 * 16, 2)

    def forward(self, x):
        return self.fc(nn.functional.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1))


torch.manual_seed(0)
images = torch.rand(80, 1, 8, 8)
labels = torch.arange(80) % 2
images[labels == 1, :, 2:5, 2:5] += 1
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
losses = []
for epoch in range(8):
    for xb, yb in zip(images.split(20), labels.split(20)):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(xb), yb)
        loss.backward()
        opt.step()
        losses.append(loss.item())
assert losses[-1] < losses[0]

net.eval()
image = images[1:2].clone().requires_grad_()
score = net(image)[0, 1]
score.backward()
saliency = image.grad.abs().amax(1)
assert saliency[0, 2:5, 2:5].mean() > saliency.mean()

baseline, total = torch.zeros_like(images[1:2]), 0
for alpha in torch.linspace(0.1, 1, 10):
    point = (baseline + alpha * (images[1:2] - baseline)).requires_grad_(True)
    total = total + torch.autograd.grad(net(point)[:, 1].sum(), point)[0]
attribution = total / 10 * images[1:2]

activations, gradients = {}, {}
h1 = net.conv.register_forward_hook(lambda m, i, o: activations.update(value=o))
h2 = net.conv.register_full_backward_hook(lambda m, gi, go: gradients.update(value=go[0]))
net.zero_grad()
net(images[1:2].clone().requires_grad_())[0, 1].backward()
cam = torch.relu((gradients["value"].mean((2, 3), keepdim=True) * activations["value"]).sum(1)).detach()
h1.remove(), h2.remove()

noisy = (images[1:2] + 0.1 * torch.randn(8, 1, 8, 8)).requires_grad_()
net(noisy)[:, 1].sum().backward()
smooth = noisy.grad.mean(0)

import torch
from torch import nn

torch.manual_seed(0)
x = torch.linspace(-3, 3, 300).unsqueeze(1)
y = 0.5 * x**2 + x + 0.2 * torch.randn_like(x)
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.MSELoss()
for epoch in range(30):
    for batch in torch.randperm(300).split(50):
        optimizer.zero_grad()
        loss = loss_fn(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    if epoch % 6 == 5:
        print(epoch + 1, loss.item())

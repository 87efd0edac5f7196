import torch
from torch import nn

torch.manual_seed(0)
t = torch.linspace(0, 6, 80).unsqueeze(1)
wave = torch.sin(t)
net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
t, wave = t.double(), wave.double()
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(net.parameters(), lr=0.8, max_iter=5, line_search_fn="strong_wolfe")
losses = []
for i in range(8):

    def closure():
        optimizer.zero_grad()
        out = net(t)
        loss = criterion(out, wave)
        loss.backward()
        return loss

    losses.append(optimizer.step(closure).item())
    with torch.no_grad():
        pred = net(t)
        criterion(pred, wave).item()
assert losses[-1] < 0.5 * losses[0], losses

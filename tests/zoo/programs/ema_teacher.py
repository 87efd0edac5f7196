"""Mean teacher: consistency with an exponential moving average of oneself on unlabelled data."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def make_model():
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))


torch.manual_seed(2)
truth = torch.randn(6, 3)
labelled_x = torch.randn(60, 6)
labelled_y = (labelled_x @ truth).argmax(-1)
unlabelled = torch.randn(200, 6)

student, teacher = make_model(), make_model()
teacher.load_state_dict(student.state_dict())
for param in teacher.parameters():
    param.detach_()

optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
step, curve = 0, []
for epoch in range(10):
    for pick in torch.randperm(60).split(20):
        other = unlabelled[torch.randint(200, (40,))]
        supervised = F.cross_entropy(student(labelled_x[pick]), labelled_y[pick])
        with torch.no_grad():
            teacher_probs = teacher(other + 0.1 * torch.randn_like(other)).softmax(-1)
        consistency = F.mse_loss(student(other).softmax(-1), teacher_probs)
        loss = supervised + min(1.0, epoch / 5) * consistency
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        alpha = min(1 - 1 / (step + 1), 0.99)
        for ema, param in zip(teacher.parameters(), student.parameters()):
            ema.data.mul_(alpha).add_(param.data, alpha=1 - alpha)
        curve.append(supervised.item())
teacher.eval()
with torch.no_grad():
    accuracy = (teacher(labelled_x).argmax(1) == labelled_y).float().mean().item()
assert curve[-1] < curve[0] and accuracy > 0.5

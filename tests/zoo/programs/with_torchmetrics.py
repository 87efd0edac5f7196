import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchmetrics.functional.classification import multiclass_accuracy

torch.manual_seed(0)
x = torch.randn(200, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
loaders = {"train": DataLoader(TensorDataset(x[:160], y[:160]), 32, shuffle=True), "val": DataLoader(TensorDataset(x[160:], y[160:]), 32)}
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
metrics = MetricCollection({"acc": MulticlassAccuracy(3), "f1": MulticlassF1Score(3)})
train_metrics, val_metrics = metrics.clone(prefix="train_"), metrics.clone(prefix="val_")
confusion, mean_loss = MulticlassConfusionMatrix(3), MeanMetric()
history = []
for epoch in range(5):
    model.train()
    for xb, yb in loaders["train"]:
        logits = model(xb)
        loss = nn.functional.cross_entropy(logits, yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        batch = train_metrics(logits, yb)
        multiclass_accuracy(logits, yb, 3)
        mean_loss.update(loss.detach(), weight=len(xb))
    train_metrics.compute()
    train_metrics.reset()
    history.append(mean_loss.compute().item())
    mean_loss.reset()
    model.eval()
    with torch.no_grad():
        for xb, yb in loaders["val"]:
            logits = model(xb)
            val_metrics.update(logits, yb)
            confusion.update(logits, yb)
    result = val_metrics.compute()
    val_metrics.reset()
    confusion.compute()
    confusion.reset()
assert history[-1] < history[0] and result["val_acc"] > 0.5

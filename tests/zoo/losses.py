"""Every loss of `torch.nn` with a network and targets that fit it, in a loop that learns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

_FEATURES, _ROWS, _EPOCHS, _CLASSES = 6, 48, 4, 4
Call = Callable[[Any, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Task:
    """What a loss is of: the network's last layers, the targets, and how the three come together."""

    build: Callable[[], nn.Module]
    targets: Callable[[Tensor], Tensor]
    """Of the rows, which are `[rows, features]`."""
    outputs: int = 1
    last: Callable[[], nn.Module] = nn.Identity
    call: Call = lambda loss, outputs, targets: loss(outputs, targets)


def train(task: Task) -> list[float]:
    """Train a small network; the mean loss of each epoch."""
    torch.manual_seed(1)
    rows = torch.randn(_ROWS, _FEATURES)
    model = nn.Sequential(nn.Linear(_FEATURES, 16), nn.Tanh(), nn.Linear(16, task.outputs), task.last())
    loss = task.build()
    optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=0.02)
    loader = DataLoader(TensorDataset(rows, task.targets(rows)), batch_size=12, shuffle=True)
    return [_epoch(task, model, loss, optimizer, loader) for _ in range(_EPOCHS)]


def _epoch(
    task: Task, model: nn.Module, loss: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any]
) -> float:
    losses = []
    for batch, wanted in loader:
        optimizer.zero_grad()
        value = task.call(loss, model(batch), wanted)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return sum(losses) / len(losses)


def _number(rows: Tensor) -> Tensor:
    return (2 + rows[:, :1] - rows[:, 1:2]).contiguous()


def _classes(rows: Tensor) -> Tensor:
    return (rows[:, 0] > 0).long() * 2 + (rows[:, 1] > 0).long()


def _yes_or_no(rows: Tensor) -> Tensor:
    return (rows[:, :1] > 0).float()


def _sign(rows: Tensor) -> Tensor:
    return _yes_or_no(rows) * 2 - 1


def _tags(rows: Tensor) -> Tensor:
    return (rows[:, :_CLASSES] > 0).float()


def _listed_tags(rows: Tensor) -> Tensor:
    """The numbers of the tags of a row, then -1, as MultiLabelMarginLoss has it."""
    listed = [row.nonzero().flatten() for row in _tags(rows)]
    return torch.stack([nn.functional.pad(each, (0, _CLASSES - len(each)), value=-1) for each in listed])


def _shares(rows: Tensor) -> Tensor:
    return (2 * rows[:, :_CLASSES]).softmax(1)


def _counts(rows: Tensor) -> Tensor:
    return rows[:, :1].exp().round()


def _masks(rows: Tensor) -> Tensor:
    """`[rows, 2, 2]` classes, of pictures of two by two points."""
    return (rows[:, :4] > 0).long().view(-1, 2, 2)


def _spellings(rows: Tensor) -> Tensor:
    """Two letters of 1 to 3 a row; 0 is the blank."""
    return 1 + (rows[:, :2] > 0).long() + (rows[:, :2] > 1).long()


def _two(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    """Of two halves of the outputs, a target that says whether they belong together."""
    value: Tensor = loss(*outputs.chunk(2, 1), targets.squeeze(1))
    return value


def _ranked(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = loss(outputs[:, :1], outputs[:, 1:], targets)
    return value


def _three(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    """Each row is the anchor; the next of its class in the batch is its like, the first of another its unlike."""
    same = targets == targets.T
    alike = torch.where(same & ~torch.eye(len(targets), dtype=torch.bool), 1.0, 0.0).argmax(1)
    value: Tensor = loss(outputs, outputs[alike], outputs[(~same).float().argmax(1)])
    return value


def _spelled(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    log_probs = outputs.unflatten(1, (6, 4)).log_softmax(2).transpose(0, 1)
    size = len(targets)
    value: Tensor = loss(log_probs, targets, torch.full((size,), 6), torch.full((size,), 2))
    return value


def _with_spread(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = loss(outputs[:, :1], targets, nn.functional.softplus(outputs[:, 1:]) + 1e-3)
    return value


def _in_tails(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = loss(outputs, targets).loss
    return value


def _on_points(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = loss(outputs.unflatten(1, (2, 2, 2)), targets)
    return value


def _log_softmax() -> nn.Module:
    return nn.LogSoftmax(dim=1)


LOSSES: dict[str, Task] = {
    "MSELoss": Task(nn.MSELoss, _number),
    "L1Loss": Task(nn.L1Loss, _number),
    "SmoothL1Loss": Task(nn.SmoothL1Loss, _number),
    "HuberLoss": Task(nn.HuberLoss, _number),
    "PoissonNLLLoss": Task(nn.PoissonNLLLoss, _counts),
    "GaussianNLLLoss": Task(nn.GaussianNLLLoss, _number, 2, call=_with_spread),
    "CrossEntropyLoss": Task(lambda: nn.CrossEntropyLoss(label_smoothing=0.1), _classes, _CLASSES),
    "NLLLoss": Task(nn.NLLLoss, _classes, _CLASSES, _log_softmax),
    "KLDivLoss": Task(lambda: nn.KLDivLoss(reduction="batchmean"), _shares, _CLASSES, _log_softmax),
    "BCELoss": Task(nn.BCELoss, _yes_or_no, 1, nn.Sigmoid),
    "BCEWithLogitsLoss": Task(lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), _yes_or_no),
    "SoftMarginLoss": Task(nn.SoftMarginLoss, _sign),
    "HingeEmbeddingLoss": Task(nn.HingeEmbeddingLoss, _sign, 1, nn.Softplus),
    "MultiMarginLoss": Task(nn.MultiMarginLoss, _classes, _CLASSES),
    "MultiLabelMarginLoss": Task(nn.MultiLabelMarginLoss, _listed_tags, _CLASSES),
    "MultiLabelSoftMarginLoss": Task(nn.MultiLabelSoftMarginLoss, _tags, _CLASSES),
    "CosineEmbeddingLoss": Task(nn.CosineEmbeddingLoss, _sign, 8, call=_two),
    "MarginRankingLoss": Task(lambda: nn.MarginRankingLoss(margin=0.5), _sign, 2, call=_ranked),
    "TripletMarginLoss": Task(nn.TripletMarginLoss, _yes_or_no, 4, call=_three),
    "TripletMarginWithDistanceLoss": Task(
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance()), _yes_or_no, 4, call=_three
    ),
    "CTCLoss": Task(nn.CTCLoss, _spellings, 24, call=_spelled),
    "AdaptiveLogSoftmaxWithLoss": Task(
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, _CLASSES, cutoffs=[2]), _classes, 8, call=_in_tails
    ),
    "CrossEntropyLoss of pictures": Task(nn.CrossEntropyLoss, _masks, 8, call=_on_points),
    "LinearCrossEntropyLoss": Task(lambda: nn.LinearCrossEntropyLoss(8, _CLASSES), _classes, 8),
}

"""The metrics of a classification, and its report class by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)


def classification_metrics(classes: int) -> MetricCollection:
    """Accuracy, precision, recall and F1 (micro and macro), and the confusion matrix (row: true, column: predicted).

    >>> sorted(classification_metrics(3))[:4]
    ['accuracy', 'confusion_matrix', 'f1_macro', 'f1_micro']
    """
    metrics: dict[str, Any] = {
        "accuracy": MulticlassAccuracy(classes, average="micro"),
        "confusion_matrix": MulticlassConfusionMatrix(classes),
    }
    for average in ("micro", "macro"):
        metrics[f"precision_{average}"] = MulticlassPrecision(classes, average=average)
        metrics[f"recall_{average}"] = MulticlassRecall(classes, average=average)
        metrics[f"f1_{average}"] = MulticlassF1Score(classes, average=average)
    return MetricCollection(metrics)


def scalars(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Those metrics that are one number.

    >>> scalars({"accuracy": torch.tensor(0.5), "confusion_matrix": torch.ones(2, 2)})
    {'accuracy': 0.5}
    """
    return {name: float(value) for name, value in values.items() if value.numel() == 1}


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One line of a classification report: of a class, or of an average over them."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """How many samples truly belong to it."""


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """How well each class was told from the others.

    >>> report = ClassificationReport.of(torch.tensor([[3, 1], [0, 4]]), ["cat", "dog"])
    >>> report.accuracy, report.classes[0].precision, report.classes[0].recall
    (0.875, 1.0, 0.75)
    """

    classes: tuple[ClassScore, ...]
    macro: ClassScore
    """The mean over the classes."""
    weighted: ClassScore
    """The mean over the classes, each weighted by its support."""
    accuracy: float

    @classmethod
    def of(cls, confusion: Tensor, names: Sequence[str]) -> "ClassificationReport":
        """Read a confusion matrix, [true, predicted]. A ratio over nothing counts as 0, as scikit-learn has it."""
        counts = confusion.double().cpu()
        hits, predicted, support = counts.diagonal(), counts.sum(0), counts.sum(1)
        precision, recall = _ratio(hits, predicted), _ratio(hits, support)
        scores = torch.stack([precision, recall, _ratio(2 * hits, predicted + support)])
        total, weights = int(support.sum()), _ratio(support, support.sum().expand_as(support))
        return cls(
            tuple(_score(name, scores[:, label], int(support[label])) for label, name in enumerate(names)),
            _score("macro avg", scores.mean(dim=1), total),
            _score("weighted avg", (scores * weights).sum(dim=1), total),
            float(_ratio(hits.sum(), support.sum())),
        )

    def as_json(self) -> dict[str, Any]:
        """The same for `metrics.json`.

        >>> ClassificationReport.of(torch.eye(2), ["cat", "dog"]).as_json()["classes"]["dog"]
        {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'support': 1}
        """
        return {
            "classes": {score.name: _numbers(score) for score in self.classes},
            "macro_avg": _numbers(self.macro),
            "weighted_avg": _numbers(self.weighted),
            "accuracy": self.accuracy,
        }

    def __str__(self) -> str:
        width = max(len(score.name) for score in (*self.classes, self.weighted))
        head = f"{'':{width}}  precision  recall      f1  support"
        accuracy = f"{'accuracy':{width}}  {'':9}  {'':6}  {self.accuracy:6.4f}  {self.macro.support:7}"
        classes = [_line(score, width) for score in self.classes]
        return "\n".join([head, "", *classes, "", accuracy, _line(self.macro, width), _line(self.weighted, width)])


def _score(name: str, values: Tensor, support: int) -> ClassScore:
    precision, recall, f1 = values.tolist()
    return ClassScore(name, precision, recall, f1, support)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1), torch.zeros_like(whole))


def _numbers(score: ClassScore) -> dict[str, float]:
    return {"precision": score.precision, "recall": score.recall, "f1": score.f1, "support": score.support}


def _line(score: ClassScore, width: int) -> str:
    numbers = f"{score.precision:9.4f}  {score.recall:6.4f}  {score.f1:6.4f}  {score.support:7}"
    return f"{score.name:{width}}  {numbers}"

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tensorcheck.training import ClassificationReport, classification_metrics
from tensorcheck.training.history import EarlyStopping, EpochRecord, History

CONFUSION = torch.tensor([[5, 1, 0], [2, 3, 0], [0, 4, 0]])


def test_a_report_has_the_ratios_of_each_class() -> None:
    first = ClassificationReport.of(CONFUSION, ["a", "b", "c"]).classes[0]
    assert [first.precision, first.recall, first.support] == pytest.approx([5 / 7, 5 / 6, 6])
    assert first.f1 == pytest.approx(2 * (5 / 7) * (5 / 6) / (5 / 7 + 5 / 6))


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    last = ClassificationReport.of(CONFUSION, ["a", "b", "c"]).classes[2]
    assert (last.precision, last.recall, last.f1, last.support) == (0, 0, 0, 4)


def test_the_averages_are_plain_and_by_support() -> None:
    report = ClassificationReport.of(CONFUSION, ["a", "b", "c"])
    recalls = [5 / 6, 3 / 5, 0]
    assert report.macro.recall == pytest.approx(sum(recalls) / 3)
    assert report.weighted.recall == pytest.approx(8 / 15)
    assert report.accuracy == pytest.approx(8 / 15)


def test_the_report_reads_as_a_table() -> None:
    assert str(ClassificationReport.of(torch.tensor([[3, 1], [0, 4]]), ["cat", "dog"])) == "\n".join(  # noqa: FLY002 - a table
        [
            "              precision  recall      f1  support",
            "",
            "cat              1.0000  0.7500  0.8571        4",
            "dog              0.8000  1.0000  0.8889        4",
            "",
            "accuracy                         0.8750        8",
            "macro avg        0.9000  0.8750  0.8730        8",
            "weighted avg     0.9000  0.8750  0.8730        8",
        ]
    )


def test_the_report_is_plain_json() -> None:
    content = json.loads(json.dumps(ClassificationReport.of(CONFUSION, ["a", "b", "accuracy"]).as_json()))
    assert content["classes"]["accuracy"]["support"] == 4
    assert content["accuracy"] == pytest.approx(8 / 15)


@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_report_agrees_with_the_metrics(pairs: list[tuple[int, int]]) -> None:
    true, predicted = (torch.tensor(each) for each in zip(*pairs, strict=True))
    metrics = classification_metrics(4)
    metrics.update(torch.eye(4)[predicted], true)
    values: dict[str, Tensor] = metrics.compute()
    report = ClassificationReport.of(values["confusion_matrix"], list("abcd"))
    assert report.accuracy == pytest.approx(float(values["accuracy"]))
    assert report.weighted.recall == pytest.approx(float(values["recall_micro"]))
    assert sum(score.support for score in report.classes) == len(pairs)


losses = st.lists(st.floats(0, 10), min_size=1, max_size=30)


def history_of(values: list[float], min_delta: float = 0.0) -> History:
    history = History()
    for epoch, loss in enumerate(values, start=1):
        history = history.after(EpochRecord(epoch, train_loss=1.0, val_loss=loss, lr=0.1, seconds=0.0), min_delta)
    return history


@given(values=losses)
def test_the_best_epoch_is_the_first_with_the_lowest_loss(values: list[float]) -> None:
    history = history_of(values)
    assert (history.best_epoch, history.best_loss) == (values.index(min(values)) + 1, min(values))
    assert history.epochs_without_gain == len(values) - history.best_epoch


@given(values=losses, min_delta=st.floats(0, 2))
def test_a_history_is_whole_after_it_was_stored(values: list[float], min_delta: float) -> None:
    history = history_of(values, min_delta)
    assert History.from_state(history.as_state()) == history


def test_many_small_gains_add_up_for_early_stopping() -> None:
    history = history_of([1.0, 0.97, 0.94, 0.91, 0.88], min_delta=0.1)
    assert history.epochs_without_gain == 0
    assert history.reference_loss == 0.88


def test_early_stopping_waits_for_its_patience() -> None:
    assert not history_of([1.0, 2.0, 2.0]).is_exhausted(EarlyStopping(patience=3))
    assert history_of([1.0, 2.0, 2.0, 2.0]).is_exhausted(EarlyStopping(patience=3))

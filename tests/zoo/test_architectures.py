"""Law 3: what strangers built, with random weights, is silent while it learns, and learns the same as without us."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding, Severity
from tests.conftest import TOLD
from tests.zoo.architectures.catalogue import ARCHITECTURES, KINDS, Architecture
from tests.zoo.architectures.training import STEPS, Trained, train
from tests.zoo.keeper import watched

pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")  # of strangers: they warn as they like

Record = Callable[[str, object], None]


def test_there_are_many_of_each_kind() -> None:
    assert len(ARCHITECTURES) >= 150
    assert min(len(kind) for kind in KINDS.values()) >= 5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_silent_and_learns_the_same(name: str, record_property: Record) -> None:
    architecture = ARCHITECTURES[name]
    runs = [train(architecture)]

    seen = watched(lambda: runs.append(train(architecture)))

    record_property(TOLD, _told(name, *runs))
    assert seen.alarms() == []
    assert seen.faults == ()
    assert (seen.models, seen.steps) == (1, STEPS)
    assert _is_same(*runs)


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_each_kind_is_silent_where_it_is_watched_by_name(kind: str) -> None:
    architecture = next(iter(KINDS[kind].values()))
    found: list[Finding] = []

    with ExitStack() as stack:

        def build(wanted: Architecture) -> nn.Module:
            model = wanted.build()
            watch = stack.enter_context(tensorcheck.watch(model, on_finding=found.append))
            stack.callback(lambda: found.extend(watch.findings))
            return model

        runs = [train(architecture), train(architecture, build)]

    assert [finding for finding in found if finding.severity > Severity.INFO] == []
    assert _is_same(*runs)


def _is_same(one: Trained, other: Trained) -> bool:
    """To the last bit."""
    weights = all(torch.equal(*pair) for pair in zip(one.weights, other.weights, strict=True))
    return weights and (one.losses, one.drawn) == (other.losses, other.drawn)


def _told(name: str, bare: Trained, under_watch: Trained) -> str:
    """The milliseconds of each step without us and with us, and what the loss was before the steps and after."""
    without, with_us = (" ".join(f"{1000 * each:.0f}" for each in run.seconds) for run in (bare, under_watch))
    return (
        f"{name:<50} ms a step {without:>20}, watched {with_us:>24}, loss {bare.losses[0]:.3f} to {bare.losses[-1]:.3f}"
    )

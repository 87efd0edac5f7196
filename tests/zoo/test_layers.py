"""Every public class of `torch.nn` is at home in the zoo, and the healthy loop around it is silent."""

import inspect

import pytest
from torch import nn

from tests.zoo.keeper import watched
from tests.zoo.layers import HOMES, LEFT_OUT, train
from tests.zoo.losses import LOSSES

PUBLIC = {
    name
    for name, thing in vars(nn).items()
    if inspect.isclass(thing) and issubclass(thing, nn.Module) and not name.startswith("_")
}


def test_no_layer_is_forgotten() -> None:
    assert PUBLIC - HOMES.keys() - LOSSES.keys() - LEFT_OUT.keys() == set()


def test_no_layer_is_listed_twice() -> None:
    assert [name for name in HOMES if name in LOSSES or name in LEFT_OUT] == []


@pytest.mark.parametrize("name", [name for name in HOMES if name in PUBLIC])
def test_a_layer_that_learns_is_silent(name: str) -> None:
    losses: list[float] = []

    seen = watched(lambda: losses.extend(train(HOMES[name])))

    print(*seen.infos(), sep="\n")  # noqa: T201 - shown where the test fails
    assert losses[-1] < losses[0]
    assert seen.alarms() == []
    assert seen.faults == ()
    assert seen.steps > 0

"""Every loss of `torch.nn`, used as it is meant, is silent."""

import pytest
from torch import nn

from tests.zoo.keeper import watched
from tests.zoo.losses import LOSSES, train


@pytest.mark.parametrize("name", [name for name in LOSSES if hasattr(nn, name.split()[0])])
def test_a_loss_that_falls_is_silent(name: str) -> None:
    losses: list[float] = []

    seen = watched(lambda: losses.extend(train(LOSSES[name])))

    print(*seen.infos(), sep="\n")  # noqa: T201 - shown where the test fails
    assert losses[-1] < losses[0]
    assert seen.alarms() == []
    assert seen.faults == ()
    assert seen.steps > 0

"""Training in float16 with and without a scaler."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler

import tensorcheck
from tensorcheck.findings import Finding


def trained(
    differentiate: Callable[[Tensor], object] = Tensor.backward,
    *,
    dtype: torch.dtype = torch.float16,
    frozen: bool = False,
) -> list[str]:
    body, head = nn.Linear(4, 4).requires_grad_(not frozen), nn.Linear(4, 2)
    model = nn.Sequential(body, head)
    optimizer = torch.optim.SGD(head.parameters() if frozen else model.parameters(), lr=1e-9)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=dtype):
                hidden = body(torch.rand(8, 4))
            differentiate(head(hidden.float()).square().mean())
            optimizer.step()
    return [finding.rule for finding in watch.findings if finding.rule == "TCK613"]


def test_float16_without_a_scaler_is_found_once() -> None:
    assert trained() == ["TCK613"]


def test_bfloat16_needs_no_scaler() -> None:
    assert trained(dtype=torch.bfloat16) == []


def test_a_frozen_part_in_float16_is_silent() -> None:
    assert trained(frozen=True) == []


def test_a_loss_that_is_scaled_by_hand_is_silent() -> None:
    assert trained(lambda loss: (loss * 1024).backward()) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_a_scaler_that_is_there_is_silent(enabled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    scaler = GradScaler("cpu", enabled=enabled)
    assert trained(lambda loss: scaler.scale(loss).backward()) == []

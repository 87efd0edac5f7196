"""A recursion without end is the user's own exception, and nothing of ours is in it."""

import gc
import traceback

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.observe.patches import PATCHES


class Endless(nn.Module):
    """Calls itself through a module, or through operations alone."""

    def __init__(self, *, through_modules: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.through_modules = through_modules

    def forward(self, rows: Tensor) -> Tensor:
        """Never returns."""
        return self.forward(self.layer(rows)) if self.through_modules else self._on(self.layer(rows))

    def _on(self, rows: Tensor) -> Tensor:
        return self._on(torch.relu(rows) + 1)


def _crash(model: nn.Module, further_in: int) -> RecursionError | None:
    if further_in:
        return _crash(model, further_in - 1)
    try:
        model(torch.zeros(2, 4))
    except RecursionError as error:
        return error
    return None


@pytest.mark.parametrize("through_modules", [True, False])
@pytest.mark.parametrize("further_in", range(12))  # where exactly the stack ends: in a probe, a rule, a patch
def test_a_used_up_stack_is_no_fault_of_ours(*, through_modules: bool, further_in: int) -> None:
    model = Endless(through_modules=through_modules)
    with tensorcheck.watch(model) as watch:
        error = _crash(model, further_in)

    assert error is not None
    shown = "".join(traceback.format_exception(error))
    assert "another exception occurred" not in shown
    assert "/tensorcheck/" not in shown.partition("in _crash")[2]
    assert watch.findings == ()
    gc.collect()
    assert PATCHES.is_empty()
    assert torch._C._len_torch_function_stack() == 0

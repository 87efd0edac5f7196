"""What the meta device says under `StrictMeta`, against what the CPU says, for every layer and loss of `torch.nn`."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from tensorcheck.experiment.strict_meta import OnMeta, StrictMeta, ValueNeededError
from tensorcheck.observe.stood_for import standing_for, storage_number
from tests.zoo.layers import HOMES, Home
from tests.zoo.losses import LOSSES, Task

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
    torch.complex64,
)
OTHERWISE = {
    ("MaxPool1d", torch.int64): "its kernel for no gradients takes no integers, and the meta device has another one",
    ("MaxPool1d", torch.int32): "likewise",
    ("MaxPool1d", torch.uint8): "likewise",
}
"""Where the two differ, and why."""


def _verdict(call: Callable[[], object]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except ValueNeededError:
            return "stopped"
        except Exception as error:  # noqa: BLE001 - whatever PyTorch raises
            return f"{type(error).__name__}: {error}"
    return ""


def _on_meta(module: nn.Module, inputs: Sequence[Tensor], call: Callable[..., object]) -> str:
    twins = [each.to("meta") for each in inputs]
    whole = {
        storage_number(twin): each
        for twin, each in zip(twins, inputs, strict=True)
        if not each.is_floating_point() and not each.is_complex()
    }
    with _strict(), standing_for(whole):
        return _verdict(lambda: call(module.to("meta"), *twins))


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    with StrictMeta(), OnMeta():
        yield


def _ranks(tensor: Tensor) -> Iterator[Tensor]:
    yield tensor
    yield tensor[0]
    yield tensor.unsqueeze(0).repeat(2, *[1] * tensor.dim())


LAYERS = [name for name in HOMES if not name.startswith("Lazy")]  # one on the meta device is not yet of any size


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_refused_the_same_inputs(name: str) -> None:
    home: Home = HOMES[name]
    start = (torch.zeros if home.is_embedding else torch.ones)((4, *home.shape))

    for given in _ranks(start):
        for dtype in DTYPES:
            rows = given.to(dtype)
            torch.manual_seed(0)
            eager = _verdict(lambda rows=rows: home.build()(rows))  # type: ignore[misc]
            ours = _on_meta(home.build(), [rows], lambda layer, given: layer(given))
            if (name, dtype) not in OTHERWISE or given.dim() == start.dim() + 1:
                assert bool(ours) is bool(eager), (dtype, tuple(rows.shape), eager, ours)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_refused_the_same_targets(name: str) -> None:
    task: Task = LOSSES[name]
    torch.manual_seed(0)
    rows = torch.randn(8, 6)
    outputs = task.last()(torch.randn(8, task.outputs))

    for target in _ranks(task.targets(rows)):
        for dtype in DTYPES:
            wanted = target.to(dtype)
            eager = _verdict(lambda wanted=wanted: task.call(task.build(), outputs, wanted))  # type: ignore[misc]
            ours = _on_meta(task.build(), [outputs, wanted], task.call)
            if ours != "stopped":
                assert bool(ours) is bool(eager), (dtype, tuple(wanted.shape), eager, ours)

"""The table of small programs, under the simulation and against a real device; both must agree with it."""

import copy
import io
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import tensorcheck
from tests.devices.programs import PROGRAMS, Program


class _WithBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.plain = torch.ones(2)


def _put(tensor: Tensor, index: Any, value: Any) -> Tensor:
    tensor[index] = value
    return tensor


def _reloaded(value: Any, **options: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


def _gradient(function: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor | None:
    leaf = tensor.detach().clone().requires_grad_()
    function(leaf).backward()
    return leaf.grad


def _with_gradient() -> nn.Parameter:
    weight = nn.Parameter(torch.ones(2, device="cuda"))
    weight.sum().backward()
    return weight


def _stepped(kind: type[torch.optim.Optimizer], **options: Any) -> dict[str, Any]:
    weight = _with_gradient()
    optimizer = kind([weight], **{"lr": 0.1, **options})
    optimizer.step()
    return dict(optimizer.state[weight])


def _scaled() -> Tensor:
    weight = nn.Parameter(torch.ones(2, device="cuda"))
    optimizer, scaler = torch.optim.SGD([weight], lr=0.1), torch.amp.GradScaler("cuda")
    scaler.scale(weight.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert weight.grad is not None
    return weight.grad


def _under(context: Any, function: Callable[[], Any]) -> Any:
    with context:
        return function()


def _by_default(device: str, function: Callable[[], Any]) -> Any:
    torch.set_default_device(device)
    try:
        return function()
    finally:
        torch.set_default_device(None)


def _autocast(function: Callable[[], Any], dtype: torch.dtype = torch.float16, *, enabled: bool = True) -> Any:
    with torch.autocast("cuda", dtype=dtype, enabled=enabled):
        return function()


def _timed() -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    time.sleep(0.001)
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def _outcome(program: Program) -> str:
    """What came: the device of the value, or its text; or the exception."""
    try:
        value = eval(program.text, _names())  # noqa: S307 - the programs are ours
    except Exception as error:  # noqa: BLE001 - which one is the question
        return f"{_class_of(error)}: {error}"
    return _said(value)


def _class_of(error: Exception) -> str:
    kinds = (NotImplementedError, RuntimeError, TypeError, IndexError, ValueError, AssertionError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), type(error).__name__)


def _said(value: Any) -> str:
    if isinstance(value, Tensor | torch.Generator):
        return str(value.device)
    return str(value.shape) if isinstance(value, np.ndarray | np.generic) else str(value)


def _names() -> dict[str, Any]:
    c, ci, cs = torch.rand(4, 3), torch.tensor([0, 1, 2, 0]), torch.tensor(2.0)
    return {
        "torch": torch,
        "nn": nn,
        "F": F,
        "np": np,
        "copy": copy,
        "pickle": pickle,
        "checkpoint": checkpoint,
        "c": c,
        "ci": ci,
        "cs": cs,
        "g": c.cuda(),
        "gi": ci.cuda(),
        "gs": cs.cuda(),
        "on": lambda module: module.to("cuda"),
        "with_buffer": _WithBuffer,
        "put": _put,
        "reloaded": _reloaded,
        "gradient": _gradient,
        "with_gradient": _with_gradient,
        "scaled": _scaled,
        "stepped": _stepped,
        "under": _under,
        "by_default": _by_default,
        "autocast": _autocast,
        "timed": _timed,
        "packed": lambda rows, lengths: nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True),
    }


def _agrees(outcome: str, expected: str) -> bool:
    kind, is_error, rest = expected.partition(": `")
    if not is_error:
        return outcome == expected
    return outcome.startswith(f"{kind}: ") and rest.removesuffix("`") in outcome


def test_there_are_many() -> None:
    assert len(PROGRAMS) >= 150


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_simulation_does_what_cuda_does(program: Program) -> None:
    with tensorcheck.simulate_device("cuda", count=2):
        outcome = _outcome(program)

    assert _agrees(outcome, program.outcome), outcome


@pytest.mark.accelerator
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_real_device_does_what_the_table_says(program: Program) -> None:
    if program.needs_two and torch.cuda.device_count() < 2:
        pytest.skip("there is one device")

    outcome = _outcome(program)

    assert _agrees(outcome, program.outcome), outcome

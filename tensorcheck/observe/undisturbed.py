"""Running the user's own code once more after a crash, so that nothing of the program notices."""

import contextlib
import io
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.utils.data import _utils

from tensorcheck.observe.frames import Owner, owner_of

_SECONDS = 0.3


class TimeIsUpError(BaseException):
    """Raised within the user's code when it takes too long; not an `Exception`, which that code may catch."""


@dataclass(frozen=True, slots=True)
class RandomState:
    """Where the random numbers of Python, NumPy and PyTorch stand."""

    python: Any
    numpy: Any
    torch: torch.Tensor

    @classmethod
    def now(cls) -> "RandomState":
        """As they stand."""
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002 - the global one

    def restore(self) -> None:
        """Put them back."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 - likewise
        torch.set_rng_state(self.torch)


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """The place of a DataLoader's worker: what its random numbers and `get_worker_info` begin with."""

    worker: int
    workers: int
    base_seed: int

    @contextlib.contextmanager
    def taken(self, dataset: Any) -> Iterator[None]:  # noqa: ANN401 - any object may be a dataset
        """Within, the random numbers are those of the worker's start."""
        state = _utils.worker
        seed = self.base_seed + self.worker
        random.seed(seed)
        torch.manual_seed(seed)
        np.random.seed(state._generate_state(self.base_seed, self.worker))  # noqa: NPY002, SLF001 - as the worker does
        before = state._worker_info  # noqa: SLF001 - what `get_worker_info` reads
        state._worker_info = state.WorkerInfo(id=self.worker, num_workers=self.workers, seed=seed, dataset=dataset)  # noqa: SLF001
        try:
            yield
        finally:
            state._worker_info = before  # noqa: SLF001


LineWatch = Callable[[FrameType, str, object], None]
"""Hears of each call, line, return and exception of a frame of the user's; of a return with what is returned."""


@contextlib.contextmanager
def undisturbed(watch: LineWatch | None = None, seconds: float = _SECONDS) -> Iterator[None]:
    """Within, random numbers, output, warnings and tracing are ours, and the user's code stops when the time is up.

    A call into C can't be stopped; the time is looked at between the lines of Python.
    """
    state, tracing, grad = RandomState.now(), sys.gettrace(), torch.is_grad_enabled()
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_grad_enabled, grad)
        stack.callback(state.restore)
        stack.callback(sys.settrace, tracing)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.suppress(TimeIsUpError))
        sys.settrace(_until(deadline, watch))
        yield


def _until(deadline: float, watch: LineWatch | None) -> Callable[[FrameType, str, Any], Any]:
    """A tracer of the user's frames; it never raises in another's, such as those that undo all this."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ANN401 - Python's own signature
        if owner_of(frame.f_code.co_filename) is not Owner.USER:
            return None
        if time.monotonic() > deadline:
            raise TimeIsUpError
        if watch is not None:
            watch(frame, event, argument)
        return trace

    return trace

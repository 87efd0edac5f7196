"""Repeats the calls that a capsule holds, and compares how they end with how they ended."""

import linecache
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import nn

from tensorcheck.capsules.archive import CapsuleFile
from tensorcheck.capsules.contents import Capsule, StoredCall, Surroundings
from tensorcheck.capturing.functions import UnknownFunctionError, function_named
from tensorcheck.findings import Finding, Severity
from tensorcheck.replaying.rebuilding import CannotRebuildError, Rebuilder, no_trust
from tensorcheck.replaying.trusted import find, importable
from tensorcheck.watching import watch

_FILE = "<capsule>"
_BACKWARD = "torch.Tensor.backward"
_NUMBERS = 624
"""Of the Mersenne Twister."""
_LINE = "result = function(*args, **kwargs)"


class Verdict(Enum):
    """How a call ended."""

    SAME = "failed the same way"
    OTHER = "did not fail the same way"
    IMPOSSIBLE = "can't be repeated here"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call.

    >>> Outcome("Linear", Verdict.SAME, "RuntimeError: ...").verdict.value
    'failed the same way'
    """

    title: str
    verdict: Verdict
    words: str
    error: Exception | None = None
    """What was raised, with its frames."""


Debug = Callable[[CodeType, dict[str, Any]], object]
"""Runs the code of a call in the debugger, from its first line on."""


def outcomes_of(file: CapsuleFile, *, is_trusted: bool, debug: Debug | None = None) -> Iterator[Outcome]:
    """Repeat the innermost call, and then that of the whole model."""
    capsule = file.capsule
    with ExitStack() as stack:
        if is_trusted:
            stack.enter_context(importable(capsule.sources))
        for call in (capsule.call, capsule.model):
            if call is not None:
                rebuilder = Rebuilder(file, find if is_trusted else no_trust)
                yield _outcome(capsule, call, rebuilder, debug)


def _outcome(capsule: Capsule, call: StoredCall, rebuilder: Rebuilder, debug: Debug | None) -> Outcome:
    try:
        namespace = _namespace(call, rebuilder)
        rng = _Randomness(capsule.surroundings, rebuilder)
    except CannotRebuildError as reason:
        return Outcome(call.title, Verdict.IMPOSSIBLE, str(reason))
    code = _code()
    found: list[Finding] = []
    with _surrounded(capsule.surroundings), rng.restored():
        model = namespace["function"] if isinstance(namespace["function"], nn.Module) else nn.Identity()
        with watch(model, on_finding=found.append, experiments=False):
            error = _run(code, namespace, debug if capsule.failure is None else None)
    outcome = _compared(capsule, call, error, found)
    return outcome if not rebuilder.has_stand_ins else _with_doubt(outcome)


def _namespace(call: StoredCall, rebuilder: Rebuilder) -> dict[str, Any]:
    """What the names in the one line stand for that is run."""
    try:
        function = rebuilder.module(call.module) if call.module is not None else function_named(call.function)
    except UnknownFunctionError as error:
        raise CannotRebuildError(str(error)) from error
    args = tuple(rebuilder.argument(value) for value in call.args)
    kwargs = {name: rebuilder.argument(value) for name, value in call.kwargs.items()}
    return {"__name__": "capsule", "function": function, "args": args, "kwargs": kwargs}


def _code() -> CodeType:
    """The same line for every call, so that nothing of a capsule is compiled."""
    linecache.cache[_FILE] = (len(_LINE), None, [f"{_LINE}\n"], _FILE)
    return compile(_LINE, _FILE, "exec")


def _run(code: CodeType, namespace: dict[str, Any], debug: Debug | None) -> Exception | None:
    try:
        if debug is not None:
            debug(code, namespace)
        else:
            exec(code, namespace)  # noqa: S102 - one line of ours
    except Exception as error:  # noqa: BLE001 - what it raises is the answer
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    return None


def _compared(capsule: Capsule, call: StoredCall, error: Exception | None, found: list[Finding]) -> Outcome:
    failure = capsule.failure
    if failure is not None and error is None and call.function == _BACKWARD:
        return Outcome(call.title, Verdict.IMPOSSIBLE, "it takes the graph, which is not in the capsule")
    words = "it ended without an exception" if error is None else f"{type(error).__qualname__}: {error}"
    if failure is not None:
        is_same = error is not None and (type(error).__qualname__, str(error)) == (failure.error, failure.message)
        wanted = f"{failure.error}: {failure.message}"
        told = wanted if is_same else f"then: {wanted}\nnow: {words}"
    else:
        rules = {finding.rule for finding in found if finding.severity is Severity.ERROR}
        is_same = error is None and capsule.rule in rules
        told = f"{capsule.rule} is found again" if is_same else f"then: {capsule.rule} was found\nnow: {words}"
        told += "" if is_same or error is not None else f", and {capsule.rule} is not found"
    return Outcome(call.title, Verdict.SAME if is_same else Verdict.OTHER, told, error)


def _with_doubt(outcome: Outcome) -> Outcome:
    words = (
        f"{outcome.words}\nsome inputs were too large for the capsule: other values of the same range stood for them"
    )
    return Outcome(outcome.title, outcome.verdict, words, outcome.error)


@contextmanager
def _surrounded(around: Surroundings) -> Iterator[None]:
    """With the modes that were on, as far as this machine has them."""
    default, threads = torch.get_default_dtype(), torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, default)
        wanted = getattr(torch, around.default_dtype, default)
        if isinstance(wanted, torch.dtype) and wanted.is_floating_point:
            torch.set_default_dtype(wanted)
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(max(1, min(around.threads, threads)))
        for kind, name in around.autocast.items():
            dtype = getattr(torch, name, None)
            if kind in ("cpu", "cuda", "mps", "xpu") and isinstance(dtype, torch.dtype):
                stack.enter_context(torch.autocast(kind, dtype))
        stack.enter_context(
            torch.inference_mode() if around.is_inference else torch.set_grad_enabled(around.is_grad_enabled)
        )
        yield


def _is_numpy_state(state: Any) -> bool:  # noqa: ANN401 - whatever the file holds
    """Whether the position lies within the numbers: NumPy does not look, and would read beyond them."""
    has_parts = isinstance(state, tuple) and len(state) == 5  # noqa: PLR2004 - name, numbers, position and spare ones
    return has_parts and len(state[1]) == _NUMBERS and state[2] in range(_NUMBERS + 1)


class _Randomness:
    """The random numbers of a capsule, which are put in force for a call."""

    def __init__(self, around: Surroundings, rebuilder: Rebuilder) -> None:
        self._python, self._numpy = rebuilder.argument(around.python_rng), rebuilder.argument(around.numpy_rng)
        self._torch = None if around.torch_rng is None else rebuilder.tensor(around.torch_rng)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Within, they stand as they did; afterwards as before."""
        python, numpy, own = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the global one
        try:
            self._restore()
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 - likewise
            torch.set_rng_state(own)

    def _restore(self) -> None:
        try:
            if self._python is not None:
                random.setstate(self._python)
            if _is_numpy_state(self._numpy):
                np.random.set_state(self._numpy)  # noqa: NPY002 - likewise
            if self._torch is not None:
                torch.set_rng_state(self._torch)
        except (RuntimeError, TypeError, ValueError, OverflowError, IndexError):
            return  # of another version: the call runs with numbers of its own

"""Within a trial, the world is the user's; after it, the world is as before.

What a copied model still shares with the user's is put back: random numbers, what its classes and its Python modules
hold, lists, dicts and sets there included. Nobody hears of the trial: neither output, log, warnings, hooks, modes nor
a session of ours. What leaves the process (a file, a database, a socket) can't be put back, nor what is changed inside
other objects that a global or a closure holds; and what another thread assigns to such a global meanwhile is lost.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import FunctionType
from typing import Any, TextIO

import torch
from torch import nn
from torch.nn.modules import module as hooks

from tensorcheck.devices.scope import no_modes_but_ours
from tensorcheck.observe import modes
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.patches import unheard
from tensorcheck.observe.undisturbed import RandomState

_CONTENT = 10_000
"""Entries of a list, dict or set beyond which its content is not remembered."""


def obstacle(model: nn.Module | None) -> str:
    """Why nothing may be run once more; empty if it may."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return "other processes would wait for it"
    if any(getattr(hooks, name) for name in _HOOKS_ON_ALL if hasattr(hooks, name)):
        return "a hook on all modules would hear of it"
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    compiled = getattr(dynamo, "OptimizedModule", ())
    for module in model.modules() if model is not None else ():
        if isinstance(module, compiled) or module._compiled_call_impl is not None:  # noqa: SLF001 - no other sign
            return "the model is compiled"
    return ""


_HOOKS_ON_ALL = (
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_parameter_registration_hooks",
    "_global_module_registration_hooks",
    "_global_buffer_registration_hooks",
)


@contextmanager
def unseen() -> Iterator[None]:
    """Within, neither a session of ours nor a mode of anybody's hears of what this thread does."""
    with unheard(), no_modes_but_ours(), modes.all_off():
        yield


@contextmanager
def isolated(model: nn.Module | None) -> Iterator[None]:
    """Run a trial of this model within."""
    with ExitStack() as stack:
        stack.enter_context(unseen())
        _keep_random_numbers(stack)
        stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        stack.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        torch.set_autocast_cache_enabled(False)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_drop, _drop))
        for restore in _restorers(model):
            stack.callback(restore)
        _silence(stack)
        yield


def _drop(_: object) -> Any:  # noqa: ANN401 - a hook's own type
    """Nothing is kept for a backward pass, for there will be none."""


def _keep_random_numbers(stack: ExitStack) -> None:
    stack.callback(RandomState.now().restore)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())


def _silence(stack: ExitStack) -> None:
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    stack.callback(logging.disable, logging.root.manager.disable)
    logging.disable()
    if sys.stdout is not None:
        stack.enter_context(redirect_stdout(_Muted(sys.stdout)))
    if sys.stderr is not None:
        stack.enter_context(redirect_stderr(_Muted(sys.stderr)))


class _Muted:
    """A stream that takes nothing from the thread of a trial, and passes on what others write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        """Write, or not."""
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Likewise."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


Restorer = Callable[[], None]


def _restorers(model: nn.Module | None) -> Iterator[Restorer]:
    """What puts back the classes of the user's modules, and the Python modules that their functions see."""
    classes = {cls for module in model.modules() for cls in type(module).__mro__} if model is not None else set()
    seen: dict[int, MutableMapping[str, Any]] = {}
    for cls in classes:
        functions = [value for value in vars(cls).values() if isinstance(value, FunctionType)]
        own = [function for function in functions if owner_of(function.__code__.co_filename) is Owner.USER]
        if own:
            yield from _restore_class(cls)
            seen |= {id(function.__globals__): function.__globals__ for function in own}
    for namespace in seen.values():
        yield from _restore_namespace(namespace)


def _restore_class(cls: type) -> Iterator[Restorer]:
    before = dict(vars(cls))

    def restore() -> None:
        for name, value in tuple(vars(cls).items()):
            if name not in before:
                delattr(cls, name)
            elif value is not before[name]:
                setattr(cls, name, before[name])

    yield restore
    yield from _restore_contents(before.values())


def _restore_namespace(namespace: MutableMapping[str, Any]) -> Iterator[Restorer]:
    before = dict(namespace)

    def restore() -> None:
        for name in [name for name in namespace if name not in before]:
            del namespace[name]
        for name, value in before.items():
            if name not in namespace or namespace[name] is not value:
                namespace[name] = value

    yield restore
    yield from _restore_contents(before.values())


def _restore_contents(values: Iterable[object]) -> Iterator[Restorer]:
    for value in values:
        if type(value) in (list, dict, set) and len(value) <= _CONTENT:  # type: ignore[arg-type]  # each has a length
            yield _content_of(value)


def _content_of(container: Any) -> Restorer:  # noqa: ANN401 - a list, dict or set
    before = container.copy()

    def restore() -> None:
        if len(container) == len(before) and _is_same(container, before):
            return
        container.clear()
        (container.extend if isinstance(container, list) else container.update)(before)

    return restore


def _is_same(one: Any, other: Any) -> bool:  # noqa: ANN401 - likewise
    """By identity, for to compare a tensor is to compute."""
    items = (one.items(), other.items()) if isinstance(one, dict) else (one, other)
    if isinstance(one, dict):
        return all(key is same and value is equal for (key, value), (same, equal) in zip(*items, strict=True))
    return all(value is equal for value, equal in zip(*items, strict=True))

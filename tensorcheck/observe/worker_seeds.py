"""What makes the workers of a DataLoader alike.

PyTorch seeds the generators of `random`, `torch` and NumPy in each worker with another number, so draws from those are
fine. What is left: a generator that the dataset holds, of which each worker gets a copy in the same state; a
`worker_init_fn` that seeds with a constant; and a stream that each worker goes through from its beginning.
"""

import ast
import hashlib
import random
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from types import FunctionType
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import IterableDataset, dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.passes import WorkerFault, WorkersAlike
from tensorcheck.observe.datasets import innermost, sample_function
from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.scopes import Scope, called_name
from tensorcheck.observe.sources import sample_site
from tensorcheck.sites import Site

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_GENERATORS = (np.random.RandomState, np.random.Generator, random.Random, torch.Generator)
_SEEDING = frozenset({"seed", "manual_seed", "seed_everything", "set_seed"})
_OWN = frozenset({"initial_seed", "get_worker_info", "urandom", "getpid", "time", "time_ns", "SeedSequence", "uuid4"})
"""Names by which a function gets what differs from worker to worker."""
_FEWEST_VALUES = 8
"""Batches of fewer different values may be equal by chance."""
_SEVERAL = 2


class WorkerProbe(Probe):
    """Hears the first batches of each loader that has several workers."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({WorkersAlike})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._met: weakref.WeakSet[Any] = weakref.WeakSet()
        """The datasets whose workers were looked at."""
        self._streams: weakref.WeakKeyDictionary[Any, list[bytes]] = weakref.WeakKeyDictionary()
        """What the first batches of streams were."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        iterator = args[0]
        if iterator._num_workers < _SEVERAL or not self.sink.hears_this_thread():  # noqa: SLF001 - no public name
            return
        if iterator in self._streams:
            self._next_of_stream(iterator, result)
        elif _is_new(iterator._dataset, self._met) and self.sink.wants_dataset(iterator._dataset):  # noqa: SLF001 - likewise
            self._begin(iterator, result)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        seen = self._streams.pop(args[0], None)
        if seen is not None and isinstance(error, StopIteration) and not self.is_off:
            self._judge_stream(args[0], seen)

    def _begin(self, iterator: Any, batch: object) -> None:  # noqa: ANN401 - a private class of torch
        dataset = innermost(iterator._dataset)  # noqa: SLF001 - likewise
        if isinstance(dataset, IterableDataset):
            self._streams[iterator] = []
            self._next_of_stream(iterator, batch)
            return
        seeds = iterator._worker_init_fn  # noqa: SLF001 - likewise
        found = _constant_seed(seeds) if seeds is not None else _held_generator(dataset)
        for what, made, fault in found:
            self._tell(iterator, fault, what, made)

    def _next_of_stream(self, iterator: Any, batch: object) -> None:  # noqa: ANN401 - likewise
        seen, workers = self._streams[iterator], iterator._num_workers  # noqa: SLF001 - likewise
        if len(seen) <= workers:
            seen.append(_digest(batch))
        if len(seen) == workers + 1:
            self._judge_stream(iterator, seen)
            seen.append(b"")

    def _judge_stream(self, iterator: Any, seen: list[bytes]) -> None:  # noqa: ANN401 - likewise
        """The first batch of each worker comes first; the next of the first worker tells a stream from a constant."""
        workers = iterator._num_workers  # noqa: SLF001 - likewise
        firsts, after = seen[:workers], seen[workers : workers + 1]
        is_judged = len(seen) > workers + 1
        if is_judged or len(firsts) < workers or len({*firsts}) > 1 or not firsts[0] or after == firsts[:1]:
            return
        site = sample_site(innermost(iterator._dataset))  # noqa: SLF001 - likewise
        self._tell(iterator, "same stream", "", site)

    def _tell(self, iterator: Any, fault: WorkerFault, what: str, made: Site | None) -> None:  # noqa: ANN401 - likewise
        event = WorkersAlike(
            step=self.sink.step,
            fault=fault,
            workers=iterator._num_workers,  # noqa: SLF001 - likewise
            dataset=type(innermost(iterator._dataset)).__name__,  # noqa: SLF001 - likewise
            what=what,
            made=made,
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)


def _is_new(dataset: object, met: "weakref.WeakSet[Any]") -> bool:
    try:
        is_new = dataset not in met
        met.add(dataset)
    except TypeError:  # a list holds no generator and can't be known again
        return False
    return is_new


def _digest(batch: object) -> bytes:
    """What tells a batch from another; empty where it has too few values, or its samples are all alike."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
        arrays = [
            each.detach().numpy() for each in tensors_in(batch) if each.device.type == "cpu" and each.is_contiguous()
        ]
    whole = hashlib.blake2b()
    for array in arrays:
        whole.update(array.tobytes())
    is_telling = any(np.unique(array[:64]).size >= _FEWEST_VALUES for array in arrays)
    is_one_sample = all(len(array) > 1 and (array[:2] == array[:1]).all() for array in arrays if array.ndim)
    return whole.digest() if is_telling and not is_one_sample else b""


_Found = Iterator[tuple[str, Site, WorkerFault]]


def _held_generator(dataset: object) -> _Found:
    """A generator among the dataset's attributes that its methods draw from and do not seed."""
    held = (
        {name for name, value in vars(dataset).items() if isinstance(value, _GENERATORS)} if _has_dict(dataset) else ()
    )
    function = sample_function(dataset) if held else None
    scope = scope_of(function, dataset) if function is not None else None
    if scope is None:
        return
    nodes = list(_outside_constructor(_class_around(scope)))
    for name in held:
        uses = [node for node in nodes if isinstance(node, ast.Attribute) and _is_attribute(node, name)]
        if uses and not any(_is_reseeded(node, name) for node in nodes):
            yield f"self.{name}", site_of_node(uses[0], scope.filename, scope.function), "same generator"


def _has_dict(dataset: object) -> bool:
    return hasattr(type(dataset), "__dict__") and hasattr(dataset, "__dict__")


def _class_around(scope: Scope) -> ast.AST:
    """The class that a method stands in, or else the method alone."""
    for node in ast.walk(tree_of(scope.filename) or ast.Module([], [])):
        if isinstance(node, ast.ClassDef) and any(each is scope.body for each in node.body):
            return node
    return scope.body


def _outside_constructor(body: ast.AST) -> Iterator[ast.AST]:
    parts = body.body if isinstance(body, ast.ClassDef) else [body]
    for part in parts:
        if getattr(part, "name", "") != "__init__":
            yield from ast.walk(part)


def _is_attribute(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.value, ast.Name)


def _is_reseeded(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="seed" | "manual_seed" | "set_state" | "setstate")):
            return _is_attribute(owner, name)
        case ast.Assign(targets=targets):
            return any(_is_attribute(target, name) for target in targets)
        case _:
            return False


def _constant_seed(function: object) -> _Found:
    """A call in a `worker_init_fn` that seeds with the same number in every worker."""
    scope = scope_of(function) if isinstance(function, FunctionType) else None
    if scope is None or isinstance(scope.body, ast.Module):
        return
    worker = {argument.arg for argument in scope.body.args.args}
    parts = scope.body.body if isinstance(scope.body.body, list) else [scope.body.body]
    nodes = [node for part in parts for node in ast.walk(part)]
    used = {
        getattr(node, "id", getattr(node, "attr", "")) for node in nodes if isinstance(node, ast.Name | ast.Attribute)
    }
    if used & {*worker, *_OWN}:
        return
    for node in nodes:
        if isinstance(node, ast.Call) and called_name(node) in _SEEDING and node.args and _is_fixed(node):
            yield ast.unparse(node), site_of_node(node, scope.filename, scope.function), "same seed"
            return


def _is_fixed(call: ast.Call) -> bool:
    """Whether what it seeds with is computed without calling anything."""
    return not any(isinstance(node, ast.Call) for argument in call.args for node in ast.walk(argument))

"""What `load_state_dict(..., strict=False)` leaves out, where the code lets go of what it returns.

Code that prints, checks or returns the missing keys knows of them, and a library that loads so for its user does too.
"""

import ast
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import FrameType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from tensorcheck.events.checkpoint import PartlyLoaded
from tensorcheck.events.event import Event
from tensorcheck.observe.frames import expression_at, file_of_caller, spelled_arguments, tree_of, user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe

_COUNTED = "num_batches_tracked"
"""A buffer that is not called missing in a state of an old version, as any plain dictionary is."""


class PartlyLoadedProbe(Probe):
    """Hears `load_state_dict` of all modules: under `run` most are loaded before they are known as models."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({PartlyLoaded})

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all modules share."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A state was loaded."""
        given = args[1] if len(args) > 1 else kwargs.get("state_dict")
        is_strict = args[2] if len(args) > 2 else kwargs.get("strict", True)  # noqa: PLR2004 - its place
        if is_strict or not isinstance(result, _IncompatibleKeys) or not result.missing_keys:
            return
        if not self.sink.hears_this_thread():
            return
        frame = user_frame()
        call = _call_let_go(frame) if frame is not None and file_of_caller() else None
        if call is None or not isinstance(given, Mapping):
            return
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            event = _partly_loaded(args[0], given, result.missing_keys, result.unexpected_keys)
        state = spelled_arguments(call, ("state_dict",)).get("state_dict")
        event = replace(
            event,
            step=self.sink.step,
            target=ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else "",
            spelled=ast.unparse(state) if state is not None else "",
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)


def _call_let_go(frame: FrameType) -> ast.Call | None:
    """The running call, if its result is dropped: it is a statement by itself, or given to a name that nobody reads."""
    call = expression_at(frame.f_code, frame.f_lasti)
    tree = tree_of(frame.f_code.co_filename)
    if not isinstance(call, ast.Call) or tree is None:
        return None
    statement = next((each for each in ast.walk(tree) if getattr(each, "value", None) is call), None)
    if isinstance(statement, ast.Expr):
        return call
    names = _given_names(statement)
    read = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    return call if names and not read.intersection(names) else None


def _given_names(statement: ast.AST | None) -> tuple[str, ...]:
    """The plain names that an assignment gives; empty where it gives anything else."""
    if not isinstance(statement, ast.Assign):
        return ()
    parts = [part for target in statement.targets for part in getattr(target, "elts", [target])]
    names = tuple(part.id for part in parts if isinstance(part, ast.Name))
    return names if len(names) == len(parts) else ()


def _partly_loaded(
    module: nn.Module, given: Mapping[Any, Any], missed: Sequence[str], over: Sequence[str]
) -> PartlyLoaded:
    own = dict(own_tensors(module))
    loaded = {id(tensor) for key, tensor in own.items() if key not in missed}
    missing = {key: own[key] for key in missed if key in own and id(own[key]) not in loaded}
    left = {key: given.get(key) for key in over}
    is_most = len(missing) * 2 > len(own)
    return PartlyLoaded(
        step=0,
        into=type(module).__name__,
        target="",
        spelled="",
        loaded=sum(key not in missed and (key in given or not key.endswith(_COUNTED)) for key in own),
        wanted=len(own),
        missing=tuple(missing),
        unexpected=tuple(left),
        prefix=_prefix(missing, left) if is_most else "",
        own_prefix=_prefix(left, missing) if is_most else "",
        within=next((key for key, value in left.items() if _is_state_of(value, own)), ""),
        renamed=tuple(_renamed(_head(module), missing, left, is_most=is_most)),
        statistics=tuple(_statistics(missing, own.keys() - {*missed})),
    )


def _statistics(missing: Iterable[str], loaded: Container[str]) -> Iterator[str]:
    """The running statistics of layers whose weights are loaded."""
    for key in missing:
        path, _, name = key.rpartition(".")
        if name in ("running_mean", "running_var") and f"{path}.weight".lstrip(".") in loaded:
            yield key


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What is saved of a module; `state_dict` would run hooks of the user's."""
    for path, part in module.named_modules(remove_duplicate=False):
        kept = {**part._parameters, **part._buffers}  # noqa: SLF001 - its own, and no property is run
        for name, tensor in kept.items():
            if tensor is not None and name not in part._non_persistent_buffers_set:  # noqa: SLF001 - likewise
                yield f"{path}.{name}" if path else name, tensor


def _is_state_of(value: object, own: Mapping[str, Tensor]) -> bool:
    return isinstance(value, Mapping) and bool(value) and len(own.keys() & value.keys()) > len(value) // 2


def _prefix(shorter: Mapping[str, object], longer: Mapping[str, object]) -> str:
    """What stands before most of the shorter keys among the longer ones; empty where that is not the difference."""
    counts: dict[str, int] = defaultdict(int)
    for key in longer:
        for dot in (place for place, sign in enumerate(key) if sign == "."):
            counts[key[: dot + 1]] += key[dot + 1 :] in shorter
    best = max(counts, key=lambda prefix: counts[prefix], default="")
    return best if best and counts[best] * 2 > len(shorter) else ""


def _renamed(
    head: str, missing: Mapping[str, Tensor], left: Mapping[str, object], *, is_most: bool
) -> Iterator[tuple[str, str]]:
    """The missing keys beside what was left over, if the one are the other under other names.

    A head may be meant to be new; what is missing below it is paired by shapes, in order. Of a model that was loaded
    for the most part nothing else may be left over: a layer that was pretrained with another aim may look like ours.
    """
    body = {key: tensor for key, tensor in missing.items() if not key.startswith(head)}
    kinds: dict[object, deque[str]] = defaultdict(deque)
    for key, value in left.items():
        if isinstance(value, Tensor):
            kinds[_kind(key, value)].append(key)
    pairs = [(key, kinds[kind].popleft()) for key, tensor in body.items() if kinds[kind := _kind(key, tensor)]]
    if len(pairs) == len(body) and (is_most or len(left) == len(body)):
        yield from pairs


def _kind(key: str, tensor: Tensor) -> tuple[str, Sequence[int]]:
    return key.rpartition(".")[2], tuple(tensor.shape)


def _head(module: nn.Module, path: str = "") -> str:
    """The path of the last of a module's parts that have parameters, with a dot."""
    parts = [(name, part) for name, part in module.named_children() if any(True for _ in part.parameters())]
    if not parts:
        return path or "no head."
    name, part = parts[-1]
    return _head(part, f"{path}{name}.") if len(parts) == 1 else f"{path}{name}."

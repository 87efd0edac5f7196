"""Which calls a capsule repeats: the innermost that failed, and that of the outermost module around it."""

import ast
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from torch import nn

from tensorcheck.calls import FailedCall
from tensorcheck.capsules.contents import StoredCall
from tensorcheck.capturing.functions import name_of
from tensorcheck.capturing.storing import Store
from tensorcheck.experiment.call_scenes import OperationScene
from tensorcheck.experiment.copies import CannotCopyError, Copier, Place
from tensorcheck.experiment.copying_evaluation import CopyingEvaluation
from tensorcheck.experiment.edits import Arguments
from tensorcheck.experiment.guard import ForbiddenError, Guard
from tensorcheck.experiment.isolation import isolated
from tensorcheck.experiment.model_scene import given_to
from tensorcheck.experiment.scene import NoSceneError
from tensorcheck.observe.evaluating import UNKNOWN, Namespace, UnknownValueError, known_value, namespace_of
from tensorcheck.observe.frames import Owner, Sites
from tensorcheck.observe.patches import FILE_NAME_THAT_WARNINGS_SKIP
from tensorcheck.observe.stack import StackFrame
from tensorcheck.observe.undisturbed import TimeIsUpError

_SECONDS = 0.5
"""What it may take to compute an operand that was not kept."""
_LAYERS = "torch.nn.modules."
_NO_SUCH_CALL = "the line that failed calls nothing of PyTorch's that could be called again by itself"


class _WithLayers(CopyingEvaluation):
    """Calls layers of PyTorch's too, on copies that share their weights."""

    def function(self, node: ast.expr) -> Callable[..., Any]:
        """A function of PyTorch's, or a copy of a module that is made of its layers alone."""
        known = known_value(node, self._names)
        if isinstance(known, nn.Module) and all(type(part).__module__.startswith(_LAYERS) for part in known.modules()):
            return self._copier.model(known)
        return super().function(node)


class _AsItStood(CopyingEvaluation):
    """Evaluates to the user's own objects wherever they were kept, and computes the others on copies."""

    def __init__(self, names: Namespace, copier: Copier) -> None:
        super().__init__(names, copier)
        self._copies = _WithLayers(names, copier)

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401 - any value
        """What an expression is worth."""
        known = known_value(node, self._names)
        return self._copies.value(node) if known is UNKNOWN else known


def failing_call(frames: Sequence[StackFrame], call: FailedCall | None, store: Store) -> StoredCall | None:
    """The innermost call of a layer, a loss or a function of PyTorch's; a note says why there is none."""
    last = max((index for index, frame in enumerate(frames) if frame.owner is Owner.USER), default=-1)
    inner = [index for index in range(last + 1, len(frames)) if frames[index].layer is not None or frames[index].loss]
    user = frames[last] if last >= 0 else None
    code, place = _where(user)
    try:
        if inner:
            return _layer_or_loss(frames, inner[-1], store, code, place)
        backward = next((frame for frame in frames[last + 1 :] if _is_backward(frame)), None)
        if backward is not None:
            return _backward(backward, store, code, place)
        if user is not None and call is not None:
            return _operation(user, call, store, code, place)
        store.notes[_NO_SUCH_CALL] = None
    except NoSceneError as reason:
        store.notes[f"{_NO_SUCH_CALL}: {reason}"] = None
    return None


def _where(user: StackFrame | None) -> tuple[str, str]:
    if user is None:
        return "", ""
    site = Sites().at(user.frame.f_code, user.instruction)
    return site.code, str(site)


def _layer_or_loss(frames: Sequence[StackFrame], index: int, store: Store, code: str, place: str) -> StoredCall:
    frame, layer = frames[index], frames[index].layer
    if frame.loss:
        kwargs = {name: frame.frame.f_locals[name] for name in frame.parameters}
        name = f"torch.nn.functional.{frame.loss}"
        return _stored("loss", name, None, ((), kwargs), store=store, code=code, place=place)
    return _stored("layer", type(layer).__name__, layer, given_to(frames, index), store=store, code=code, place=place)


def _is_backward(frame: StackFrame) -> bool:
    return frame.owner is Owner.TORCH and frame.frame.f_code.co_qualname == "Tensor.backward"


def _backward(frame: StackFrame, store: Store, code: str, place: str) -> StoredCall:
    values = frame.frame.f_locals
    kwargs = {name: values[name] for name in ("gradient", "retain_graph", "create_graph")}
    store.notes["what was computed before `backward` is not in the capsule"] = None
    name = "torch.Tensor.backward"
    return _stored("function", name, None, ((values["self"],), kwargs), store=store, code=code, place=place)


def _operation(user: StackFrame, call: FailedCall, store: Store, code: str, place: str) -> StoredCall:
    deadline = time.monotonic() + _SECONDS
    copier = Copier(Place.OWN, None, deadline)
    try:
        with ExitStack() as stack:
            stack.enter_context(isolated(None))
            stack.enter_context(Guard(deadline))
            evaluation = _AsItStood(namespace_of(user.frame), copier)
            function, arguments, _ = OperationScene(user, call).taken_apart(evaluation)
    except (UnknownValueError, CannotCopyError, ForbiddenError, TimeIsUpError) as error:
        msg = "an operand was not kept, or it is no function of PyTorch's"
        raise NoSceneError(msg) from error
    except Exception as error:
        msg = f"an operand can't be computed again: {type(error).__name__}"
        raise NoSceneError(msg) from error
    name = name_of(function)
    if not name:
        msg = f"`{getattr(function, '__name__', 'it')}` is none of the functions that a capsule calls"
        raise NoSceneError(msg)
    return _stored("function", name, None, arguments, store=store, code=code, place=place)


def model_call(frames: Sequence[StackFrame], call: StoredCall | None, store: Store) -> StoredCall | None:
    """The call of the outermost module that was running, unless that is the innermost call itself."""
    first = next((index for index, frame in enumerate(frames) if frame.module is not None), None)
    module = frames[first].module if first is not None else None
    if first is None or module is None or type(module).__module__ == "torch.nn.modules.loss":
        return None
    callers = [frame for frame in frames[:first] if frame.owner is Owner.USER]
    try:
        given = given_to(frames, first)
    except NoSceneError as reason:
        store.notes[str(reason)] = None
        return None
    code, place = _where(callers[-1] if callers else None)
    stored = _stored("model", type(module).__name__, module, given, store=store, code=code, place=place)
    return None if call is not None and stored.module == call.module else stored


def heard_call(frame: FrameType | None, store: Store) -> StoredCall | None:
    """The call of a patched function that is being listened to: in it, an error was found and nothing was raised."""
    while frame is not None and frame.f_code.co_filename != FILE_NAME_THAT_WARNINGS_SKIP:
        frame = frame.f_back
    if frame is None or "patch" not in frame.f_locals:
        store.notes["it was found between two calls, and no call is in the capsule"] = None
        return None
    values = frame.f_locals
    function, args, kwargs = values["patch"].original, values["args"], values["kwargs"]
    caller = _user_above(frame)
    code, place = _where(caller)
    owner = args[0] if args else None
    if isinstance(owner, nn.Module) and function.__name__ == "forward":
        given: Arguments = tuple(args[1:]), dict(kwargs)
        return _stored("model", type(owner).__name__, owner, given, store=store, code=code, place=place)
    name = name_of(function)
    if not name:
        store.notes[f"it was found in `{function.__qualname__}`, which a capsule does not call"] = None
        return None
    kind = "loss" if name.endswith("_loss") or "entropy" in name else "function"
    return _stored(kind, name, None, (args, kwargs), store=store, code=code, place=place)


def _user_above(frame: FrameType | None) -> StackFrame | None:
    while frame is not None:
        found = StackFrame(frame, frame.f_lasti)
        if found.owner is Owner.USER:
            return found
        frame = frame.f_back
    return None


def _stored(  # noqa: PLR0913 - all that is known of a call
    kind: Any,  # noqa: ANN401 - one of the kinds
    name: str,
    module: nn.Module | None,
    given: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    store: Store,
    code: str,
    place: str,
) -> StoredCall:
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
        args = tuple(store.value(value, f"args[{index}]") for index, value in enumerate(given[0]))
        kwargs = {key: store.value(value, key) for key, value in given[1].items()}
        number = None if module is None else store.module(module, type(module).__name__)
    return StoredCall(kind, name, number, args, kwargs, code=code, place=place)

"""Where two parts of an input meet: two calls of a copy, operation by operation, of which one input differs in a part.

As long as what differs between the calls lies where that part lies, the parts are apart. The first operation that is
given such tensors and returns another is where they meet.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tensorcheck.events.experiment import Culprit
from tensorcheck.experiment.asking import Asked, Given, NoAnswerError
from tensorcheck.experiment.layouts import Layout, differences
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import module_meta, tensor_meta, tensors_in
from tensorcheck.observe.frames import Sites, user_frame
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame, standing
from tensorcheck.tensors import TensorMeta

Judge = Callable[[Tensor], tuple[Layout, ...]]
"""Says where in a tensor the part lies whose elements changed; nothing where they are not those of one part."""

_MOST = 1 << 26
"""Elements of all operations together beyond which they are not kept to be compared."""
_UNINTERESTING = frozenset({"grad", "shape", "size", "dim", "device", "dtype"})
_RESHAPES = frozenset({"view", "reshape", "flatten", "unflatten", "view_as", "reshape_as"})
_MASKS = frozenset({"masked_fill", "masked_fill_", "where", "tril", "triu"})


def meeting(asked: Asked, model: nn.Module, given: tuple[Given, Given], judge: Judge, sites: Sites) -> Culprit | None:
    """Where the parts meet in two calls of a copy; None where that can't be told."""
    first = FirstCall()
    seconds: list[SecondCall] = []

    def compared(twin: nn.Module, arguments: Given) -> SecondCall:
        second = SecondCall(first, twin, judge)
        second.given(list(tensors_in(arguments)), list(tensors_in(given[0])))
        seconds.append(second)
        return second

    try:
        asked.call(given[0], lambda _, __: first)
        returned = asked.call(given[1], compared)
    except NoAnswerError:
        return None
    return seconds[0].culprit(returned, model, sites)


@dataclass(frozen=True, slots=True)
class _Step:
    """An operation of the second call, and what it was given that had changed."""

    function: str
    module: str
    code: CodeType | None
    instruction: int
    numbers: tuple[int, ...]
    source: "_Known | None"
    """The first of its inputs that had changed and in which the parts are apart."""
    output: TensorMeta


@dataclass(frozen=True, slots=True)
class _Known:
    """A tensor that differs between the two calls."""

    tensor: Tensor
    """Kept, so that no other gets its id."""
    meta: TensorMeta
    layouts: tuple[Layout, ...]
    """Empty where the parts have met."""
    maker: _Step | None
    met: _Step | None = None
    """Where they met, on the way to this."""

    @property
    def is_plain(self) -> bool:
        """Whether the parts have a dim of their own."""
        return any(layout.is_alone for layout in self.layouts)


class FirstCall(TorchFunctionMode):
    """Keeps what each operation of the first call returned."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, tuple[Tensor, ...]]] = []
        self.is_too_large = False
        self._elements = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call it, and keep what it made."""
        result = func(*args, **(kwargs or {}))
        name = _name(func)
        if name not in _UNINTERESTING and not self.is_too_large:
            made = tuple(tensor.clone() for tensor in _made(name, args, result))
            self._elements += sum(tensor.numel() for tensor in made)
            self.is_too_large = self._elements > _MOST
            self.made.append((name, made))
        return result


class SecondCall(TorchFunctionMode):
    """Compares each operation of the second call with that of the first, up to where the parts meet."""

    def __init__(self, first: FirstCall, model: nn.Module, judge: Judge) -> None:
        super().__init__()
        self._first = first.made
        self._judge = judge
        self._paths: dict[int, str] = {id(module): path for path, module in model.named_modules()}
        self._known: dict[int, _Known] = {}
        self._count = 0
        self._is_over = first.is_too_large

    def given(self, tensors: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """What the model is called with, and what it was called with before."""
        for tensor, other in zip(tensors, before, strict=True):
            self._learn(tensor, other, None)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call it, and compare what it made."""
        result = func(*args, **(kwargs or {}))
        name = _name(func)
        if name not in _UNINTERESTING and not self._is_over:
            self._compare(name, (args, kwargs or {}), _made(name, args, result))
        return result

    def _compare(self, name: str, given: tuple[Any, Any], made: Sequence[Tensor]) -> None:
        if self._count >= len(self._first):
            self._is_over = True
            return
        before, made_before = self._first[self._count]
        self._count += 1
        if before != name or len(made) != len(made_before):
            self._is_over = True  # the calls took different ways
            return
        known = [self._known[id(each)] for each in tensors_in(given) if id(each) in self._known]
        for tensor, other in zip(made, made_before, strict=True):
            self._compare_one(name, given, known, (tensor, other))

    def _compare_one(
        self, name: str, given: tuple[Any, Any], known: Sequence[_Known], pair: tuple[Tensor, Tensor]
    ) -> None:
        source = next((each for each in known if each.layouts), None)
        frame = user_frame()
        step = _Step(
            name,
            self._running(),
            frame.f_code if frame is not None else None,
            frame.f_lasti if frame is not None else 0,
            _numbers(given),
            source,
            tensor_meta(pair[0]),
        )
        met = next((each.met for each in known if each.met is not None), step if known else None)
        self._learn(*pair, step, met)

    def _learn(self, tensor: Tensor, other: Tensor, maker: _Step | None, met: _Step | None = None) -> None:
        changed = differences(other, tensor)
        self._known.pop(id(tensor), None)
        if changed is None:
            self._is_over = True
        elif bool(changed.any()):
            apart = self._judge(changed)
            self._known[id(tensor)] = _Known(tensor, tensor_meta(tensor), apart, maker, None if apart else met)

    def _running(self) -> str:
        """The path of the innermost module that runs."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
        while frame is not None:
            module = StackFrame(frame, 0).module
            path = self._paths.get(id(module))
            if module is not None and path is not None:
                return path
            frame = frame.f_back
        return ""

    def culprit(self, returned: Sequence[Tensor], model: nn.Module, sites: Sites) -> Culprit | None:
        """Where the parts met on the way to what was returned, or the reshape before it that put them elsewhere."""
        mets = (self._known[id(tensor)].met for tensor in returned if id(tensor) in self._known)
        met = next((met for met in mets if met is not None), None)
        if met is None or met.source is None:
            return None
        step = _moved(met)
        source = step.source
        if source is None:
            return None
        layout = next((each for each in source.layouts if each.is_alone), None)
        site = sites.at(step.code, step.instruction) if step.code is not None else None
        with standing() as frames:
            definition = definition_site(model, step.module, Lineages(frames).scope) if step.module else None
        meta = _meta(model, step.module)
        dim = layout.dim if layout is not None else None
        mask = _mask(source)
        return Culprit(
            step.function,
            meta,
            source.meta,
            step.output,
            dim,
            step.numbers,
            site,
            definition,
            sites.at(mask.code, mask.instruction) if mask is not None and mask.code is not None else None,
        )


def _moved(met: _Step) -> _Step:
    """The reshape on the way whose result has as many rows as there are parts, and not one part in each row."""
    step: _Step | None = met
    while step is not None and step.source is not None:
        source = step.source
        if step.function in _RESHAPES and source.is_plain and not _looks_right(step, source):
            return step
        if source.is_plain:
            return met
        step = source.maker
    return met


def _looks_right(step: _Step, source: _Known) -> bool:
    parts = next(source.meta.shape[layout.dim] for layout in source.layouts if layout.is_alone)
    is_first = any(layout.is_alone and layout.dim == 0 for layout in source.layouts)
    return bool(not step.output.shape or step.output.shape[0] != parts or is_first)


def _mask(source: _Known) -> _Step | None:
    """What was to hide a part of the tensor, among the operations right before."""
    step = source.maker
    for _ in range(_FAR):
        if step is None or step.function in _MASKS:
            return step
        step = step.source.maker if step.source is not None else None
    return None


_FAR = 4
"""Operations before the one where parts meet among which a mask is looked for."""


def _meta(model: nn.Module, path: str) -> ModuleMeta:
    return module_meta(model.get_submodule(path), path)


def _name(func: Callable[..., Any]) -> str:
    name = str(getattr(func, "__name__", func))
    owner = getattr(func, "__self__", None)
    return str(getattr(owner, "__name__", name)) if name in ("__get__", "__set__") else name


def _made(name: str, args: tuple[Any, ...], result: object) -> tuple[Tensor, ...]:
    """What a function returned or, where it returns nothing, what it wrote to."""
    return tuple(tensors_in(args[0])) if name == "__setitem__" and args else tuple(tensors_in(result))


def _numbers(given: tuple[Any, Any]) -> tuple[int, ...]:
    args, kwargs = given
    found: list[int] = []
    for value in (*args, *kwargs.values()):
        parts = value if isinstance(value, tuple | list) else (value,)
        found += [part for part in parts if type(part) is int]
    return tuple(found)

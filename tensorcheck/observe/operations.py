"""Operations: a function mode that writes down, for a few steps, what each call of PyTorch read and made.

What is written down on the way is raw (a shape, a dtype, a code object and an instruction), for a step may have
thousands of operations; it becomes a `Trace` when somebody asks. Tensors are known by their ids, each verified by a
weak reference, since ids are reused at once.
"""

import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import CodeType
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.fingerprinting import Fingerprints, Weights
from tensorcheck.observe.frames import Sites, user_frame
from tensorcheck.observe.own_time import OWN_TIME
from tensorcheck.observe.patches import FILE_NAME_THAT_WARNINGS_SKIP
from tensorcheck.observe.raw_steps import (
    Change,
    GraphNode,
    RawOperation,
    RawReading,
    RawStep,
    RawValue,
    Running,
    name_of,
    operation_of,
    trace_of,
)
from tensorcheck.trace import Operation, Origin, Trace

Find = Callable[[Tensor], tuple[Origin, str]]
"""Says what a tensor is that no operation was seen to make."""
Reader = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], object], None]
"""Looks at the numbers that a function was given and made."""


_MOST_KEPT = 8
"""How many steps that are over are kept, the latest: the first ones, and those in which something new was seen."""
_UNINTERESTING = frozenset({"grad"})
"""Properties that only read."""
_READING = frozenset({"item", "tolist", "numpy", "__array__", "__float__", "__int__"})
"""Methods that give the numbers of a tensor to Python or NumPy."""
_OUTSIDE = Running("", "")
_nodes: Callable[[], int] = torch._C._autograd._get_sequence_nr  # noqa: SLF001 - the only counter that autograd has
"""How many nodes autograd has made on this thread."""


class Recorder(TorchFunctionMode):
    """Records while it is on the stack of modes and not paused."""

    def __init__(self, find: Find, fault: Callable[[Exception], None], *, fingerprint: bool = False) -> None:
        super().__init__()
        self._fault = fault
        self.is_paused = False
        self.hearing: dict[Callable[..., Any], Callable[[tuple[Any, ...], dict[str, Any]], None]] = {}
        """Who is told of the arguments of which function."""
        self.reading: dict[Callable[..., Any], Reader] = {}
        """Who looks at the values of which function's arguments and result; of one in place, when they are changed."""
        self._weights = Weights() if fingerprint else None
        self._raw = self._begun(0)
        """The step that was recorded last, and is being recorded."""
        self._next_step: int | None = None
        """The step of which the next operation is the first; until then the last step is kept."""
        self._follows = True
        """Whether that one is the step after the one that was recorded last."""
        self.running: list[Running] = []
        """Each module that is running, the innermost last."""
        self._calls: Counter[str] = Counter()
        """How often each module was called in the step."""
        self._find = find
        self._places: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._switch: tuple[CodeType, int] | None = None
        """What the user ran that switched gradients off, if that was seen."""
        self._places_before: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._last_step = RawStep(0, None)
        """What the step before did, for as long as its graph may be used."""
        self._kept: deque[RawStep] = deque(maxlen=_MOST_KEPT)
        self._nodes = _nodes()
        """How many nodes autograd had made when something was recorded last."""
        self.nodes_differentiated: int | None = None
        """How many nodes autograd had made when `backward` returned last."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call the function, then write down what it did."""
        try:
            result = func(*args, **(kwargs or {}))
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise
        if not self.is_paused and not is_compiling():
            began = OWN_TIME.begin()
            try:
                self._record(func, args, kwargs, result)
                heard = self.hearing.get(func)
                if heard is not None:
                    heard(args, kwargs or {})
                reader = self.reading.get(func)
                if reader is not None:
                    reader(func, args, kwargs or {}, result)
            except RecursionError:  # the user's stack is used up, and to say so would need more of it
                self.is_paused = True
            except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
                self.is_paused = True
                self._fault(fault)
            finally:
                OWN_TIME.end(began)
        return result

    @property
    def is_between_steps(self) -> bool:
        """Whether nothing was recorded yet of the step that is under way."""
        return self._next_step is not None

    def begin_step(self, step: int, *, follows: bool = True) -> None:
        """The next operation is the first of this step, which may follow on the one recorded last or not."""
        self._next_step, self._follows = step, follows
        self._calls.clear()
        self.overlook()

    def overlook(self) -> None:
        """Something may have been done since the last operation that was not recorded."""
        self._nodes = _nodes()

    def read_also(self, function: Callable[..., Any], reader: Reader, handles: ExitStack) -> None:
        """Let one more look at what a function is given and makes, until `handles` is closed."""
        before = self.reading.get(function)
        self.reading[function] = reader if before is None else _after(before, reader)
        handles.callback(self.reading.pop, function, None)

    def found(self, tensor: Tensor, origin: Origin, name: str) -> None:
        """A tensor came from outside, such as a batch from its DataLoader, or from operations that were seen there."""
        self._start_step_if_due()
        place = self.place_of(tensor)
        if place is not None and self._raw.values[place].operation is not None:
            self._raw.values[place] = self._raw.values[place]._replace(origin=origin, name=name)
            return
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - likewise
            self._add(tensor, None, origin, name)

    def call(self, function: Callable[..., Any], given: object, made: Sequence[Tensor]) -> None:
        """Something that was not seen from inside counts as one operation."""
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            self._write(function, _tensors(given), made)

    def stepped(self, moved: Sequence[Tensor]) -> None:
        """An optimizer stepped with the gradients of these parameters."""
        self._start_step_if_due()
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - likewise
            for parameter in moved:
                if parameter.grad is not None:
                    described = self._described(parameter.grad, None, None, self._find(parameter)[1])
                    self._raw.gradients.append(described)

    def entered(self, path: str, kind: str) -> None:
        """A module is about to run."""
        self.running.append(Running(path, kind, self._calls[path]))
        self._calls[path] += 1

    def module_seen(self, module: ModuleMeta) -> None:
        """A module ran, and was this."""
        self._raw.modules.setdefault(module.path, module)

    def differentiated(self) -> None:
        """A backward returned: only nodes that are there now can have been freed by it."""
        self.nodes_differentiated = _nodes()

    def place_of(self, tensor: Tensor) -> int | None:
        """Where a tensor that is alive stands among the values."""
        known, place = self._places.get(id(tensor), (None, -1))
        return place if known is not None and known() is tensor else None

    def cut_before(self, tensor: Tensor, sites: Sites) -> Operation | None:
        """The last operation on the way to a tensor, by first inputs, that was given a gradient and passed none on."""
        place = self.place_of(tensor)
        while place is not None:
            value = self._raw.values[place]
            if value.operation is None or value.requires_grad:
                return None
            operation = self._raw.operations[value.operation]
            if any(self._raw.values[other].requires_grad for other in operation.inputs):
                return operation_of(operation, sites)
            place = next(iter(operation.inputs), None)
        return None

    def maker_of(self, node: GraphNode, sites: Sites) -> Operation | None:
        """The operation that made a node of autograd's graph, in this step or the one before."""
        made = self._maker_of(node)
        return None if made is None else operation_of(made, sites)

    def change_of(self, storage: int, version: int, since: GraphNode, sites: Sites) -> Operation | None:
        """The first operation after a node was made that wrote to memory which was at this version then."""
        saver, is_after, nodes = self._maker_of(since), False, -1
        for operation in self._history():
            if is_after and operation.nodes_before != nodes:
                return None  # what was not recorded in between may have written to it
            nodes = operation.nodes
            if is_after and any(change.storage == storage and change.version > version for change in operation.changed):
                return operation_of(operation, sites)
            is_after = is_after or operation is saver
        return None

    def _maker_of(self, node: GraphNode) -> RawOperation | None:
        return next((each for each in self._history() if each.nodes_before <= node.number < each.nodes), None)

    def _history(self) -> Iterator[RawOperation]:
        yield from self._last_step.operations
        yield from self._raw.operations

    def trace(self, sites: Sites) -> Trace:
        """What was recorded of the last step that was recorded."""
        return trace_of(self._raw, sites)

    @property
    def recorded(self) -> RawStep:
        """The step that was recorded last, and is being recorded."""
        return self._raw

    @property
    def recorded_before(self) -> RawStep:
        """The step before that one."""
        return self._last_step

    def traces(self, sites: Sites) -> tuple[Trace, ...]:
        """The last steps that were recorded, each on its own, the latest last."""
        latest = [self._raw] if self._raw.operations else []
        return tuple(trace_of(raw, sites) for raw in (*self._kept, *latest))

    def _record(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, result: object
    ) -> None:
        if func is torch._C._set_grad_enabled:  # noqa: SLF001 - what every way to switch them goes through
            self._switched(is_on=bool(args[0]))
            return
        made = _changed(func, args) if result is None else _tensors(result)
        name = name_of(func)
        if made and name not in _UNINTERESTING:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._write(func, _tensors((args, kwargs) if kwargs else args), made)
        elif name in _READING and not self.is_between_steps:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - likewise
                self._read(func, args)

    def _write(self, func: Callable[..., Any], given: Iterable[Tensor], made: Sequence[Tensor]) -> None:
        self._start_step_if_due()
        inputs = dict.fromkeys([self._place(tensor) for tensor in given])
        changed = tuple([_change(tensor) for tensor in made if self.place_of(tensor) is not None])
        outputs = tuple([self._add(tensor, len(self._raw.operations)) for tensor in made])
        before, self._nodes = self._nodes, _nodes()
        nodes, is_on = (before, self._nodes), torch.is_grad_enabled()
        operation = RawOperation(
            func, self._module(), *_place_here(), tuple(inputs), outputs, *nodes, changed, is_on, self._switch
        )
        self._raw.operations.append(operation)

    def _read(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        read = _tensors(args)
        places = [self._place(each) if each.is_leaf and each.requires_grad else self.place_of(each) for each in read]
        inputs = tuple([place for place in places if place is not None])
        operation = RawOperation(func, self._module(), *_place_here(), inputs, (), self._nodes, self._nodes)
        self._raw.readings.append(RawReading(operation, len(self._raw.operations)))

    def _switched(self, *, is_on: bool) -> None:
        code, instruction = _place_here()
        self._switch = None if is_on or code is None else (code, instruction)

    def _module(self) -> Running:
        return self.running[-1] if self.running else _OUTSIDE

    def _start_step_if_due(self) -> None:
        if self._next_step is not None:
            if self._raw.operations:
                self._kept.append(self._raw)
            if self._raw.fingerprints is not None:
                self._raw.fingerprints.fetch()
            self._last_step = self._raw if self._follows else RawStep(0, None)
            self._places_before = self._places if self._follows else {}
            self._raw, self._next_step, self._places = self._begun(self._next_step), None, {}

    def _begun(self, step: int) -> RawStep:
        return RawStep(step, Fingerprints(self._weights) if self._weights is not None else None)

    def _place(self, tensor: Tensor) -> int:
        known, place = self._places.get(id(tensor), (None, -1))
        if known is not None and known() is tensor:
            return place
        origin, name = self._find(tensor)
        place = self._add(tensor, None, origin, name)
        if origin is Origin.PARAMETER:
            self._raw.parameters[place] = id(tensor)
        known, earlier = self._places_before.get(id(tensor), (None, -1))
        if known is not None and known() is tensor:
            self._raw.earlier[place] = earlier
        return place

    def _add(self, tensor: Tensor, operation: int | None, origin: Origin | None = None, name: str = "") -> int:
        self._raw.values.append(self._described(tensor, operation, origin, name))
        place = len(self._raw.values) - 1
        self._places[id(tensor)] = (weakref.ref(tensor), place)
        return place

    def _described(self, tensor: Tensor, operation: int | None, origin: Origin | None, name: str) -> RawValue:
        shape = () if is_lazy(tensor) else tensor.shape
        known = (shape, tensor.dtype, tensor.device, tensor.requires_grad, tensor.is_leaf)
        fingerprint = self._raw.fingerprints.take(tensor) if self._raw.fingerprints is not None else 0
        return RawValue(*known, operation, origin, name, fingerprint)


# As the wrappers of `patches` are, so that a `stacklevel` counts to the user's line.
Recorder.__torch_function__.__code__ = Recorder.__torch_function__.__code__.replace(
    co_filename=FILE_NAME_THAT_WARNINGS_SKIP
)


def _after(first: Reader, second: Reader) -> Reader:
    def both(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        first(function, args, kwargs, result)
        second(function, args, kwargs, result)

    return both


def _tensors(value: object) -> list[Tensor]:
    """The tensors among arguments or results, as deep as functions of PyTorch nest them."""
    if isinstance(value, Tensor):
        return [value]
    found: list[Tensor] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, _SEQUENCES):
            waiting += reversed(each)
        elif isinstance(each, dict):
            waiting += reversed(each.values())
    return found


_SEQUENCES = (tuple, list)


def _place_here() -> tuple[CodeType | None, int]:
    frame = user_frame()
    return (frame.f_code, frame.f_lasti) if frame is not None else (None, 0)


def _changed(func: Callable[..., Any], args: tuple[Any, ...]) -> list[Tensor]:
    """What a function changed that returns nothing."""
    name = getattr(func, "__name__", "")
    writes = name == "__setitem__" or (name.startswith("_foreach_") and name.endswith("_"))
    return _tensors(args[0]) if writes and args else []


def _change(tensor: Tensor) -> Change:
    try:
        return Change(storage_of(tensor), tensor._version)  # noqa: SLF001 - the only name that it has
    except RuntimeError:  # tensors of inference mode count no versions
        return Change(0, 0)


def storage_of(tensor: Tensor) -> int:
    """The id of a tensor's memory, which its views share; 0 where it has none, as a sparse one."""
    try:
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - likewise
    except (NotImplementedError, RuntimeError):
        return 0

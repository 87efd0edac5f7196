"""Holds every operation to the rules of the simulated devices, and says where its results are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

from tensorcheck.devices import places
from tensorcheck.devices.generators import check_generator
from tensorcheck.devices.places import UNDECIDED, place_of
from tensorcheck.devices.replacing import leave_out_ours
from tensorcheck.devices.rules import ALWAYS_JUDGED, Operand, Operation, place_of_result, two_or_raise_each
from tensorcheck.devices.scope import HERE, PHYSICAL, nothing_simulated, raise_forked, wanted


@dataclass(frozen=True, slots=True)
class _Known:
    """What is asked of an operation each time, found once."""

    operation: Operation
    names: tuple[str, ...]
    written: tuple[bool, ...]
    makes_new: bool
    """Whether its results have memory of their own, or are views of what it was given."""
    is_ours: bool
    """Whether it is one of PyTorch's own, whose rules are known."""
    is_foreach: bool
    is_composite: bool
    """Whether it is made of others, and is seen whole in inference mode alone, where autograd takes nothing apart."""


class Placing(TorchDispatchMode):
    """Below everything else: what it sees has been through autograd, and runs on the CPU as it would without."""

    supports_higher_order_operators = True

    def __init__(self, bring_back: Callable[[Tensor, torch.device], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self._known: dict[object, _Known] = {}
        self._bring_back = bring_back

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Its calls are not wrapped for the compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run it where everything is."""
        known = self._known.get(func) or self._learn(func)
        if known is None:
            return func(*args, **(kwargs or {}))
        if known.is_composite:
            return self._decomposed(func, args, kwargs or {})
        try:
            place, per_item = self._place(known, args, kwargs)
        except RuntimeError as error:
            leave_out_ours(error)
            raise
        kwargs, place, is_pinned = _physical(kwargs, place) if kwargs else ({}, place, False)
        if known.makes_new and HERE.target is not None:
            place = HERE.target if HERE.target.type != PHYSICAL.type else None
        result = func(*args, **kwargs) if HERE.physical == PHYSICAL else _without_values(func, args, kwargs)
        if known.makes_new and place is not None:
            _put_all(known, result, place, per_item)
        if is_pinned:
            places.pin(result)
        return result

    def _place(
        self, known: _Known, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None
    ) -> tuple[torch.device | None, Sequence[torch.device | None] | None]:
        """Where the results are meant to be, and those in a list one by one where they differ."""
        place, is_mixed, is_open = _common_place(args, kwargs)
        per_item: Sequence[torch.device | None] | None = None
        if (is_mixed or known.operation.name in ALWAYS_JUDGED) and known.is_ours:
            place, per_item = self._judged(known, args, kwargs or {})
        if place is None or place is UNDECIDED:
            return place, per_item
        if HERE.is_forked:
            raise_forked(place.type)
        if is_open:
            _decide(args, kwargs, place)
        return place, per_item

    def _decomposed(self, func: OpOverload[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What it is made of is judged, one by one."""
        _push_mode(self)
        try:
            return func.decompose(*args, **kwargs)
        finally:
            _pop_mode()

    def _learn(self, func: object) -> _Known | None:
        if not isinstance(func, OpOverload):
            return None
        schema = func._schema
        namespace, _, name = schema.name.partition("::")
        is_in_place = name.endswith("_") and not name.endswith("__")
        known = _Known(
            Operation(name.removesuffix("_") if is_in_place else name, schema.overload_name, is_in_place),
            names=tuple(argument.name for argument in schema.arguments),
            written=tuple(bool(argument.alias_info and argument.alias_info.is_write) for argument in schema.arguments),
            makes_new=any(each.alias_info is None for each in schema.returns),
            is_ours=namespace == "aten",
            is_foreach=name.startswith("_foreach"),
            is_composite=func._can_decompose(),
        )
        self._known[func] = known
        return known

    def _judged(
        self, known: _Known, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[torch.device | None, Sequence[torch.device | None] | None]:
        """Where the results of operands on several devices are, or what is wrong with them."""
        given = [*zip(known.names, args, strict=False), *kwargs.items()]
        if known.is_foreach:
            lists = [[place_of(each) for each in value] for _, value in given if _is_tensors(value)]
            two_or_raise_each(known.operation, [[each or PHYSICAL for each in row] for row in lists])
            return next(place for row in lists for place in row if place is not None), lists[0]
        tensors = [
            (name, tensor) for name, value in given for tensor in _tensors(value) if not places.is_undecided(tensor)
        ]
        if any(_is_nowhere(tensor) for _, tensor in tensors):
            return _common_place(args, kwargs)[0], None
        written = dict(zip(known.names, known.written, strict=True))
        operands = [_operand(name, tensor, is_written=written.get(name, False)) for name, tensor in tensors]
        place = place_of_result(known.operation, operands)
        for _, tensor in tensors:
            if tensor.requires_grad and not tensor.dim() and torch.is_grad_enabled():
                self._bring_back(tensor, place_of(tensor) or PHYSICAL)
        return (place if place.type != "cpu" else None), None


def _without_values(func: OpOverload[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Many an operation of the meta device is written in Python, and asks its operands where they really are."""
    with nothing_simulated():
        return func(*args, **kwargs)


def _is_nowhere(tensor: Tensor) -> bool:
    """Whether it is on the user's own meta device, which the rules of devices say nothing of."""
    return tensor.is_meta and HERE.physical.type != "meta" and place_of(tensor) is None


def _common_place(args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> tuple[torch.device | None, bool, bool]:
    """The simulated device of the operands, whether some are elsewhere, and whether that of some is still open."""
    key = HERE.key
    common: torch.device | None = None
    is_first, is_mixed, is_open = True, False, False
    for value in (*args, *kwargs.values()) if kwargs else args:
        for tensor in (value,) if isinstance(value, Tensor) else value if isinstance(value, list | tuple) else ():
            if not isinstance(tensor, Tensor):
                continue
            try:
                place = vars(places.storage_of(tensor)).get(key)
            except (NotImplementedError, RuntimeError):
                place = place_of(tensor)
            if place is UNDECIDED:
                is_open = True
            elif is_first:
                common, is_first = place, False
            elif place is not common and place != common:
                is_mixed = True
                common = common or place
    return (UNDECIDED if is_first and is_open else common), is_mixed, is_open


def _decide(args: Sequence[Any], kwargs: Mapping[str, Any] | None, place: torch.device) -> None:
    """What was open is where the others are."""
    for value in (*args, *(kwargs or {}).values()):
        for tensor in _tensors(value):
            if places.is_undecided(tensor):
                places.put(tensor, place)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        yield from (each for each in value if isinstance(each, Tensor))


def _is_tensors(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(each, Tensor) for each in value)


def _operand(name: str, tensor: Tensor, *, is_written: bool) -> Operand:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Operand(name, place_of(tensor) or PHYSICAL, tensor.dim(), dtype, is_written)


def _physical(
    kwargs: Mapping[str, Any], place: torch.device | None
) -> tuple[dict[str, Any], torch.device | None, bool]:
    """The arguments as the CPU understands them, where the result is meant to be, and whether in pinned memory."""
    real = dict(kwargs)
    asked = real.get("device")
    if asked is not None:
        meant = wanted(asked)
        if meant is not None:
            real["device"], place = HERE.physical, meant
        elif asked.type not in (PHYSICAL.type, HERE.physical.type):
            place = None
        elif place is None and HERE.target is None:
            place = UNDECIDED  # PyTorch's own code names the device that its operands really have
        if asked.type == PHYSICAL.type:
            real["device"] = HERE.physical
    is_pinned = bool(real.get("pin_memory"))
    if is_pinned:
        real["pin_memory"] = False
    if real.get("generator") is not None:
        check_generator(real["generator"], HERE.target or (place if place is not UNDECIDED else None) or PHYSICAL)
    return real, place, is_pinned


def _put_all(
    known: _Known, result: object, place: torch.device, per_item: Sequence[torch.device | None] | None
) -> None:
    if isinstance(result, Tensor):
        places.put(result, place)
    elif isinstance(result, list | tuple):
        on_cpu = known.operation.name == "_pack_padded_sequence"
        for index, each in enumerate(result):
            if isinstance(each, Tensor) and not (on_cpu and index):
                places.put(each, per_item[index] if per_item is not None else place)

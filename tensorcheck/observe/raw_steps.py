"""What the recorder writes down of a step while it runs, and how that becomes a `Trace` when somebody asks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, NamedTuple

import torch

from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.fingerprinting import Fingerprints
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.grad_modes import switch_around
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Origin, Reading, Trace, Value


class RawValue(NamedTuple):
    """A tensor's metadata as PyTorch gives it, and where it came from."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    requires_grad: bool
    is_leaf: bool
    operation: int | None
    origin: Origin | None
    name: str
    fingerprint: int = 0
    """The number under which the step's fingerprints have its own."""


class Running(NamedTuple):
    """A call of a module that has not returned."""

    path: str
    kind: str
    call: int = 0
    """Which of this module in the step it is."""


class Change(NamedTuple):
    """Memory that an operation may have written to: it gave back a tensor that it was given."""

    storage: int
    """The id of the tensor's storage, which means something as long as that is alive."""
    version: int
    """How often the memory had been written to when the operation was over."""


class RawOperation(NamedTuple):
    """A call, with its place in the user's code not yet looked up."""

    function: Callable[..., Any]
    module: Running
    code: CodeType | None
    instruction: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes_before: int
    nodes: int
    """How many nodes autograd had made when it was over: those since `nodes_before` are its own."""
    changed: tuple[Change, ...] = ()
    is_grad_enabled: bool = True
    switch: tuple[CodeType, int] | None = None
    """What the user ran that switched gradients off, if they are."""


class RawReading(NamedTuple):
    """A call that gave a tensor's numbers to Python, and how many operations came before it."""

    operation: RawOperation
    before: int


class GraphNode(NamedTuple):
    """A node of autograd's graph; the numbers grow in the order in which nodes are made."""

    kind: str
    number: int


@dataclass(slots=True)
class RawStep:
    """What was recorded of a step."""

    step: int
    fingerprints: Fingerprints | None
    operations: list[RawOperation] = field(default_factory=list)
    values: list[RawValue] = field(default_factory=list)
    gradients: list[RawValue] = field(default_factory=list)
    modules: dict[str, ModuleMeta] = field(default_factory=dict)
    readings: list[RawReading] = field(default_factory=list)
    earlier: dict[int, int] = field(default_factory=dict)
    """Values that the step before had made, by their places, and their places there."""
    parameters: dict[int, int] = field(default_factory=dict)
    """The ids of the parameters that values are, by their places: two models may have parameters of one name."""


def trace_of(raw: RawStep, sites: Sites) -> Trace:
    """What was recorded of a step, with its places looked up."""
    return Trace(
        raw.step,
        operations=tuple(operation_of(each, sites) for each in raw.operations),
        values=tuple(_value(each, raw.fingerprints) for each in raw.values),
        gradients=tuple(_value(each, raw.fingerprints) for each in raw.gradients),
        modules=tuple(raw.modules.values()),
        readings=tuple(Reading(operation_of(each.operation, sites), each.before) for each in raw.readings),
        earlier=dict(raw.earlier),
    )


def operation_of(raw: RawOperation, sites: Sites) -> Operation:
    """One operation of it."""
    site = sites.at(raw.code, raw.instruction) if raw.code is not None else None
    path, kind, call = raw.module
    is_on, off = raw.is_grad_enabled, None if raw.is_grad_enabled else _switch_of(raw, site, sites)
    return Operation(name_of(raw.function), path, kind, site, raw.inputs, raw.outputs, call, is_on, off)


def _switch_of(raw: RawOperation, site: Site | None, sites: Sites) -> Site | None:
    """What is written around the user's line; else what was seen to switch gradients off."""
    written = switch_around(site.line, raw.code.co_filename) if site is not None and raw.code is not None else None
    return written or (sites.at(*raw.switch) if raw.switch is not None else None)


def _value(raw: RawValue, fingerprints: Fingerprints | None) -> Value:
    sizes = tuple(size if isinstance(size, int) else -1 for size in raw.shape)
    dtype = str(raw.dtype).removeprefix("torch.")
    meta = TensorMeta(sizes, dtype, str(raw.device), raw.requires_grad, raw.is_leaf)
    fingerprint = fingerprints.of(raw.fingerprint) if fingerprints is not None else None
    return Value(meta, raw.operation, raw.origin, raw.name, fingerprint)


def name_of(func: Callable[..., Any]) -> str:
    """What the user would call it: `linear`, `__add__`, and of a property its own name (`data`, `T`)."""
    name = str(getattr(func, "__name__", func))
    owner = getattr(func, "__self__", None)
    return str(getattr(owner, "__name__", name)) if name in ("__get__", "__set__") else name

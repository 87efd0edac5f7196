"""The signature of a model: what each of its modules returns, with the sizes that are free for the caller to choose.

A size is free where the model takes another in its place. It is found by asking: the inputs are made twice as long in
one dim, or longer or shorter by one where that fails, and what changes with them in a module's output is written in
their name: `batch`, `2*batch`, `dim2/2`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.observe.describe import named_tensors, tensor_meta
from tensorcheck.tensors import TensorMeta
from tensorcheck.testing.rehearsing import Rehearsal
from tensorcheck.testing.training import explained

_MOST_DIMS = 4
"""Dims of the inputs that are asked; what comes after is seldom free."""


@dataclass(frozen=True, slots=True)
class ModuleSignature:
    """What one module is, takes and returns."""

    kind: str
    parameters: Mapping[str, str]
    """Dtype, shape and whether they are trained, by name."""
    outputs: Mapping[str, str]
    """Of its first call, by the expressions that reach them."""
    calls: int = 1
    gradient: str = ""
    """Whether gradients reach its own parameters: `yes`, `no` or `some`; empty where that was not asked."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model is, takes and returns."""

    inputs: Mapping[str, str]
    modules: Mapping[str, ModuleSignature]
    """By dotted path, in the order in which they are called; the model itself is the empty path."""


Heard = dict[str, tuple[dict[str, TensorMeta], int]]
"""Of each module that was called, its first outputs and how often it was."""


def signature_of(rehearsal: Rehearsal) -> Signature:
    """Ask a copy of a model, in evaluation mode, and with a backward pass where there is a loss."""
    model = rehearsal.model.eval()
    with explained():
        base = _heard(rehearsal, lambda tensor: tensor)
    names, others = [], []
    for name, heard, sizes in _free(rehearsal):
        names.append((name, sizes))
        others.append(heard)
    reached = _gradients(rehearsal)
    inputs = {name: tensor_meta(each) for name, each in rehearsal.inputs.items()}
    free = dict(names)
    return Signature(
        {name: _input_text(meta, free) for name, meta in inputs.items()},
        {
            path: ModuleSignature(
                type(module).__name__,
                {name: _parameter_text(each) for name, each in module.named_parameters(recurse=False)},
                _output_texts(path, base, others, names),
                base[path][1] if path in base else 0,
                _reached(module, path, reached),
            )
            for path, module in _in_order(model, base)
        },
    )


def _in_order(model: nn.Module, heard: Heard) -> Iterator[tuple[str, nn.Module]]:
    """The model, then its modules as they are called, then those that are not."""
    modules = dict(model.named_modules())
    called = [path for path in heard if path]
    rest = [path for path in modules if path and path not in heard]
    yield from ((path, modules[path]) for path in ["", *called, *rest])


def _heard(rehearsal: Rehearsal, change: Callable[[Tensor], Tensor]) -> Heard:
    with torch.no_grad(), _hearing(rehearsal.model) as heard:
        rehearsal.outputs(rehearsal.with_inputs(change))
    return heard


@contextmanager
def _hearing(model: nn.Module) -> Iterator[Heard]:
    heard: Heard = {}
    handles = []
    for path, module in model.named_modules():

        def hear(_: object, __: object, output: object, path: str = path) -> None:
            first, calls = heard.get(path, ({each.name: each.meta for each in named_tensors(output, "output")}, 0))
            heard[path] = (first, calls + 1)

        handles.append(module.register_forward_hook(hear))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _free(rehearsal: Rehearsal) -> Iterator[tuple[str, Heard, tuple[int, int]]]:
    """The dims whose size the model leaves to its caller, with what was heard where it was another one."""
    inputs = list(rehearsal.inputs.values())
    for dim in range(min(_MOST_DIMS, max((each.dim() for each in inputs), default=0))):
        size = next(each.size(dim) for each in inputs if each.dim() > dim)
        for other in (2 * size, size + 1, size - 1):
            if other < 1 or other == size:
                continue
            try:
                heard = _heard(rehearsal, _resized(dim, size, other))
            except Exception:  # noqa: BLE001, S112 - whatever the model raises: this size is not free
                continue
            yield ("batch" if dim == 0 else f"dim{dim}", heard, (size, other))
            break


def _resized(dim: int, size: int, other: int) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        if tensor.dim() <= dim or tensor.size(dim) != size:
            return tensor
        return tensor.index_select(dim, torch.arange(other) % size)

    return change


def _output_texts(
    path: str, base: Heard, others: list[Heard], names: list[tuple[str, tuple[int, int]]]
) -> dict[str, str]:
    if path not in base:
        return {}
    found = {}
    for name, meta in base[path][0].items():
        changed = [heard.get(path, ({}, 0))[0].get(name) for heard in others]
        dims = [_dim(size, place, changed, names) for place, size in enumerate(meta.shape)]
        found[name] = f"{meta.dtype}[{' '.join(dims)}]"
    return found


def _dim(size: int, place: int, changed: list[TensorMeta | None], names: list[tuple[str, tuple[int, int]]]) -> str:
    """A size of an output: a number, or what it is of a free size of the inputs; `_` where that is not known."""
    words = []
    for other, (name, (before, after)) in zip(changed, names, strict=True):
        if other is None or place >= len(other.shape) or other.shape[place] == size:
            continue
        words.append(_of_free(name, size, other.shape[place], before, after))
    return words[0] if len(words) == 1 else "_" if words else str(size)


def _of_free(name: str, size: int, other: int, before: int, after: int) -> str:
    ratio = Fraction(size, before)
    if Fraction(other, after) == ratio:
        top = name if ratio.numerator == 1 else f"{ratio.numerator}*{name}"
        return top if ratio.denominator == 1 else f"{top}/{ratio.denominator}"
    if other - size == after - before:
        return f"{name}{size - before:+d}"
    return "_"


def _input_text(meta: TensorMeta, free: Mapping[str, tuple[int, int]]) -> str:
    names = [("batch" if dim == 0 else f"dim{dim}", size) for dim, size in enumerate(meta.shape)]
    words = [name if name in free and free[name][0] == size else str(size) for name, size in names]
    return f"{meta.dtype}[{' '.join(words)}]"


def _parameter_text(parameter: nn.Parameter) -> str:
    meta = tensor_meta(parameter)
    return f"{meta.dtype}[{' '.join(map(str, meta.shape))}]{'' if parameter.requires_grad else ', frozen'}"


def _gradients(rehearsal: Rehearsal) -> set[str] | None:
    """The parameters that a gradient reaches; None without a loss."""
    if rehearsal.loss_fn is None:
        return None
    with explained():
        loss = rehearsal.loss()
        if loss.requires_grad:
            loss.backward()
    return {name for name, each in rehearsal.model.named_parameters() if each.grad is not None}


def _reached(module: nn.Module, path: str, reached: set[str] | None) -> str:
    own = [f"{path}.{name}" if path else name for name, _ in module.named_parameters(recurse=False)]
    if reached is None or not own:
        return ""
    count = sum(name in reached for name in own)
    return "yes" if count == len(own) else "some" if count else "no"


def to_json(signature: Signature) -> dict[str, Any]:
    """As it is written to a file."""
    return {
        "version": 1,
        "inputs": dict(signature.inputs),
        "modules": {path: _module_json(each) for path, each in signature.modules.items()},
    }


def _module_json(module: ModuleSignature) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": module.kind}
    if module.parameters:
        told["parameters"] = dict(module.parameters)
    if module.outputs:
        told["outputs"] = dict(module.outputs)
    if module.calls != 1:
        told["calls"] = module.calls
    if module.gradient:
        told["gradient"] = module.gradient
    return told


def from_json(content: Any) -> Signature:  # noqa: ANN401 - whatever a file holds
    """As it was written; a `ValueError` says that it is none."""
    try:
        modules = {
            path: ModuleSignature(
                each["kind"],
                each.get("parameters", {}),
                each.get("outputs", {}),
                each.get("calls", 1),
                each.get("gradient", ""),
            )
            for path, each in content["modules"].items()
        }
        return Signature(content["inputs"], modules)
    except (TypeError, KeyError, AttributeError) as error:
        msg = f"it is no contract: {type(error).__name__}: {error}"
        raise ValueError(msg) from error

"""What a batch is to a model and to its loss: which part is the input, and which the target."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader

from tensorcheck.observe.describe import leaves, tensor_meta

_TARGETS = ("labels", "label", "targets", "target", "y")
"""What the target of a batch is called that is a dictionary, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a step is given."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    target: Any = None
    has_target: bool = False


def given_of(model: nn.Module, batch: Any, *, has_loss: bool) -> Given:  # noqa: ANN401 - whatever a loader yields
    """The parts of a batch: a tensor, a pair of inputs and target, a dictionary of arguments, or a loader of such.

    What the model's `forward` can't take raises a `ValueError` that shows both.

    >>> import torch
    >>> given = given_of(nn.Linear(4, 2), (torch.zeros(8, 4), torch.zeros(8)), has_loss=True)
    >>> len(given.args), given.target.shape
    (1, torch.Size([8]))
    """
    found = _parts(model, next(iter(batch)) if isinstance(batch, DataLoader) else batch, has_loss=has_loss)
    try:
        inspect.signature(model.forward).bind(*found.args, **found.kwargs)
    except TypeError as error:
        msg = f"`{type(model).__name__}.forward{inspect.signature(model.forward)}` can't take {_told(found)}: {error}"
        raise ValueError(msg) from None
    return found


def _parts(model: nn.Module, batch: object, *, has_loss: bool) -> Given:
    if isinstance(batch, Mapping):
        return _of_mapping(model, dict(batch), has_loss=has_loss)
    if not isinstance(batch, tuple | list) or hasattr(batch, "_fields"):
        return Given((batch,))
    *inputs, last = batch
    if has_loss and inputs:
        return _with_target(_of_inputs(model, inputs), last)
    if _takes(model, tuple(batch)):
        return Given(tuple(batch))
    return _of_inputs(model, inputs) if inputs else Given(tuple(batch))


def _of_inputs(model: nn.Module, inputs: list[Any]) -> Given:
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return Given((), dict(inputs[0]))
    if len(inputs) == 1 and isinstance(inputs[0], tuple | list) and not _takes(model, tuple(inputs)):
        return Given(tuple(inputs[0]))
    return Given(tuple(inputs))


def _of_mapping(model: nn.Module, batch: dict[str, Any], *, has_loss: bool) -> Given:
    parameters = inspect.signature(model.forward).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    taken = {name: value for name, value in batch.items() if takes_all or name in parameters}
    left = [name for name in batch if name not in taken]
    if not has_loss:
        return Given((), taken)
    target = left[0] if len(left) == 1 else next((name for name in _TARGETS if name in batch), None)
    if target is None:
        msg = f"which of {', '.join(map(repr, batch))} is the target? give the batch as a pair of inputs and target"
        raise ValueError(msg)
    return _with_target(Given((), {name: value for name, value in taken.items() if name != target}), batch[target])


def _with_target(given: Given, target: object) -> Given:
    return Given(given.args, given.kwargs, target, has_target=True)


def _takes(model: nn.Module, args: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(model.forward).bind(*args)
    except TypeError:
        return False
    return True


def _told(given: Given) -> str:
    parts = [*given.args, *given.kwargs.values()]
    names = [*[""] * len(given.args), *[f"{name}=" for name in given.kwargs]]
    return f"({', '.join(f'{name}{_described(part)}' for name, part in zip(names, parts, strict=True))})"


def _described(part: object) -> str:
    if isinstance(part, Tensor):
        return str(tensor_meta(part))
    held = [str(tensor_meta(tensor)) for _, tensor in leaves(part, "")]
    return f"{type(part).__name__} of {', '.join(held)}" if held else type(part).__name__

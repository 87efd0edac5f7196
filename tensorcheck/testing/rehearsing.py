"""Runs a model for an assertion: on a copy, so that the test's own model, its gradients and random numbers stay."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from tensorcheck.experiment.given_parts import Given, given_of
from tensorcheck.observe.describe import leaves, named_arguments
from tensorcheck.observe.undisturbed import RandomState

LossFunction = Callable[[Any, Any], Tensor]

_SEED = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A copy of a model, what it is given, and its loss."""

    model: nn.Module
    given: Given
    loss_fn: LossFunction | None = None

    def outputs(self, given: Given | None = None, *, seed: int = _SEED) -> Any:  # noqa: ANN401 - whatever a model returns
        """What the model returns, with the random numbers of this seed."""
        torch.manual_seed(seed)
        return called(self.model, given or self.given)

    def loss(self, given: Given | None = None, *, seed: int = _SEED) -> Tensor:
        """The loss of the outputs; without a loss function, the one that the model itself returns.

        A `TypeError` says that there is none.
        """
        outputs = self.outputs(given, seed=seed)
        return loss_of(outputs, (given or self.given).target, self.loss_fn)

    def evaluated(self, given: Given | None = None, *, seed: int = _SEED) -> dict[str, Tensor]:
        """The tensors of the outputs, by the expressions that reach them, without a graph."""
        with torch.no_grad():
            return tensors_of(self.outputs(given, seed=seed))

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The tensors that the model is given, by the names of its parameters."""
        bound = named_arguments(type(self.model).forward, self.given.args, self.given.kwargs)
        tensors = [tensor for part in (*self.given.args, *self.given.kwargs.values()) for _, tensor in leaves(part, "")]
        names = [each.name for each in bound]
        return dict(zip(names, tensors, strict=True)) if len(names) == len(tensors) else dict(leaves(tensors, "inputs"))

    @property
    def samples(self) -> int:
        """How many samples the batch holds: the first size of its first tensor; a `ValueError` where it has none."""
        first = next((tensor for tensor in self.inputs.values() if tensor.dim()), None)
        if first is None:
            msg = "the batch holds no tensor with a batch dim"
            raise ValueError(msg)
        return first.size(0)

    def with_inputs(self, change: Callable[[Tensor], Tensor]) -> Given:
        """What the model is given, each tensor changed."""
        args, kwargs = tree_map(
            lambda part: change(part) if isinstance(part, Tensor) else part, (self.given.args, self.given.kwargs)
        )
        return replace(self.given, args=args, kwargs=kwargs)

    def with_batch(self, change: Callable[[Tensor], Tensor]) -> Given:
        """Likewise, the target too."""
        changed = self.with_inputs(change)
        target = tree_map(lambda part: change(part) if isinstance(part, Tensor) else part, self.given.target)
        return replace(changed, target=target)


@contextmanager
def rehearsing(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
) -> Iterator[Rehearsal]:
    """A copy of the model and what it is given; afterwards the random numbers stand where they stood.

    Without a loss function, a batch that `forward` takes whole is its input, and else all of it but the last part.
    """
    _refuse_wrong_type(model)
    state = RandomState.now()
    try:
        with torch.enable_grad():
            given = given_of(model, batch, has_loss=loss_fn is not None) if batch is not None else Given()
            yield Rehearsal(twin_of(model), given, loss_fn)
    finally:
        state.restore()


def _refuse_wrong_type(model: object) -> None:
    if not isinstance(model, nn.Module):
        msg = f"model: an nn.Module is wanted, not {type(model).__name__}"
        raise TypeError(msg)


def twin_of(model: nn.Module) -> nn.Module:
    """A copy without gradients; a `TypeError` says why there can be none."""
    try:
        twin = copy.deepcopy(model)
    except Exception as error:
        msg = f"model: `{type(model).__name__}` can't be copied, and assertions leave yours as it is: {error}"
        raise TypeError(msg) from error
    twin.zero_grad(set_to_none=True)
    return twin


def called(model: nn.Module, given: Given) -> Any:  # noqa: ANN401 - whatever a model returns
    """What a model returns; what it writes into its inputs, it writes into copies."""
    return model(*copied(given.args), **copied(given.kwargs))


def copied(value: Any) -> Any:  # noqa: ANN401 - nested
    """The same structure with its own tensors: a model may write into what it is given."""
    return tree_map(
        lambda part: part.detach().clone().requires_grad_(part.requires_grad) if isinstance(part, Tensor) else part,
        value,
    )


def loss_of(outputs: Any, target: Any, loss_fn: LossFunction | None) -> Tensor:  # noqa: ANN401 - whatever a model returns
    """The loss, by the function or as the model returns it."""
    if loss_fn is not None:
        return loss_fn(outputs, target)
    found = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", outputs)
    if isinstance(found, Tensor) and found.numel() == 1:
        return found
    msg = "loss_fn: it is needed, for the model returns no loss of its own"
    raise TypeError(msg)


def tensors_of(outputs: object) -> dict[str, Tensor]:
    """The tensors of outputs, by the expressions that reach them."""
    return dict(leaves(outputs, "output"))


def first_difference(
    left: Mapping[str, Tensor], right: Mapping[str, Tensor], *, rtol: float = 0.0, atol: float = 0.0
) -> str | None:
    """Where two outputs are first unequal and by how much; None where they are alike.

    >>> first_difference({"output": torch.tensor([1.0, 2.0])}, {"output": torch.tensor([1.0, 2.5])})
    '`output`[1] is 2.0 and 2.5'
    """
    for name in left:
        one, other = left[name], right.get(name)
        if other is None or one.shape != other.shape or one.dtype != other.dtype:
            shown = f"{other.dtype} {tuple(other.shape)}" if other is not None else "missing"
            return f"`{name}` is {one.dtype} {tuple(one.shape)} and {shown}".replace("torch.", "")
        if torch.equal(one, other) or torch.allclose(*_comparable(one, other), rtol=rtol, atol=atol, equal_nan=True):
            continue
        return _greatest(name, one, other)
    return None


def _comparable(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    wide = torch.complex128 if one.is_complex() else torch.float64
    return one.detach().to(wide), other.detach().to(wide)


def _greatest(name: str, one: Tensor, other: Tensor) -> str:
    left, right = _comparable(one, other)
    apart = (left - right).abs().nan_to_num(nan=torch.inf)
    index = [int(each) for each in torch.unravel_index(apart.argmax(), apart.shape)] if apart.dim() else []
    shown = f"{index}" if index else ""
    return f"`{name}`{shown} is {_number(one[tuple(index)])} and {_number(other[tuple(index)])}"


def _number(value: Tensor) -> str:
    number = value.item()
    return f"{number:.7g}" if isinstance(number, float) and not number.is_integer() else str(number)

"""The last word on what a trial may do: change only tensors that it made itself, and only while there is time."""

import functools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.undisturbed import TimeIsUpError


class ForbiddenError(Exception):
    """The trial was about to change a tensor of the user's."""


class Guard(TorchDispatchMode):
    """Sees every operation of a trial, below autograd, whoever calls it.

    A storage is the trial's own if an operation of the trial made it. Its address may be used again when it is freed,
    but by then nothing of the user's, which all was there before, can have it.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self._deadline = deadline
        self._own: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch would import its compiler only to be told to leave this class alone."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator, of a class that PyTorch does not export
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the operator's own result
        """Run one operation, if it may."""
        if time.monotonic() > self._deadline:
            raise TimeIsUpError
        kwargs = kwargs or {}
        for tensor in _written(func, args, kwargs):
            if _storage(tensor) not in self._own:
                raise ForbiddenError
        result = func(*args, **kwargs)
        made = {_storage(tensor) for tensor in tensors_in(result)}
        if func is not torch.ops.aten.lift_fresh.default:  # of `torch.tensor([...])`, which returns what it was given
            made -= {_storage(tensor) for tensor in tensors_in((args, kwargs))}
        self._own |= made
        return result


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - as torch itself tells storages apart
    return address


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:  # noqa: ANN401 - likewise
    for index, name in _places_written(func):
        yield from tensors_in(args[index] if index < len(args) else kwargs.get(name))


@functools.cache
def _places_written(func: Any) -> tuple[tuple[int, str], ...]:  # noqa: ANN401 - likewise
    """The position and name of each argument that an operator's schema says it changes."""
    arguments = func._schema.arguments  # noqa: SLF001 - the way to read it
    return tuple(
        (index, argument.name)
        for index, argument in enumerate(arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )

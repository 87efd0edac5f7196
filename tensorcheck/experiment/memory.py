"""How many bytes a step keeps, counted by storages."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.preflights import Memory


class MemoryCount:
    """Counts what autograd saves within, and with it what a model and its optimizer hold.

    >>> layer = nn.Linear(4, 2)
    >>> with MemoryCount() as count:
    ...     layer(torch.zeros(8, 4)).sum().backward()
    >>> count.of(layer, None)
    Memory(weights=40, gradients=40, optimizer_state=0, activations=128)
    """

    def __init__(self) -> None:
        self._saved: dict[int, int] = {}
        """The bytes of each storage that was saved."""
        self._kept: list[torch.UntypedStorage] = []
        """A storage that is gone would give its number to another one."""
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor)

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, traceback)

    def _save(self, tensor: Tensor) -> Tensor:
        for number, size, storage in _storages([tensor]):
            if number not in self._saved:
                self._saved[number] = size
                self._kept.append(storage)
        return tensor

    def of(self, model: nn.Module, optimizer: Optimizer | None) -> Memory:
        """All that is kept now, and what was saved."""
        parameters = list(model.parameters())
        weights = _sizes([*parameters, *model.buffers()])
        gradients = _sizes(each.grad for each in parameters if each.grad is not None)
        state = _sizes(_state_of(optimizer)) if optimizer is not None else {}
        activations = {number: size for number, size in self._saved.items() if number not in weights}
        return Memory(*(sum(each.values()) for each in (weights, gradients, state, activations)))


def _state_of(optimizer: Optimizer) -> Iterator[Tensor]:
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


def _sizes(tensors: Iterable[Tensor]) -> dict[int, int]:
    return {number: size for number, size, _ in _storages(tensors)}


def _storages(tensors: Iterable[Tensor]) -> Iterator[tuple[int, int, Any]]:
    """The number, the bytes and the storage of each tensor that has one."""
    for tensor in tensors:
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # sparse ones have none
            continue
        yield storage._cdata, storage.nbytes(), storage  # noqa: SLF001 - the only name that it has

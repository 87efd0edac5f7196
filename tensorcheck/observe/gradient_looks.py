"""What an optimizer's gradients are like from call to call, told without their values."""

import weakref
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.observe.optimized import parameters_of

_Look = tuple[tuple[int, int] | None, ...]


class GradientLooks:
    """The gradients of one optimizer: which tensors they are and how often each was written to.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = torch.optim.SGD([weight], lr=0.1)
    >>> looks = GradientLooks(optimizer)
    >>> weight.sum().backward()
    >>> looks.changed(), looks.changed(), looks.are_there
    (True, False, True)
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.reference = weakref.ref(optimizer)
        self._seen = self._look()
        self.is_fresh = self.are_there
        """Whether something was added since they were last zeroed."""
        self.is_by_hand = False
        """Whether something that was not heard changed them since the last `backward`."""

    @property
    def are_there(self) -> bool:
        """Whether any parameter had one when they were last looked at."""
        return any(look is not None for look in self._seen)

    def changed(self) -> bool:
        """Whether any differs from the last look; this is the next one."""
        before, self._seen = self._seen, self._look()
        return before != self._seen

    def held(self) -> Iterator[Tensor]:
        """The parameters that the optimizer holds; none where it is gone."""
        optimizer = self.reference()
        return parameters_of(optimizer) if optimizer is not None else iter(())

    def _look(self) -> _Look:
        return looked_at(self.held())


def looked_at(tensors: Iterable[Tensor]) -> _Look:
    """What the gradients of these are like now; None for those without one."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a gradient
        gradients = [tensor.grad if tensor.is_leaf else None for tensor in tensors]
        return tuple(None if each is None else (id(each), _version(each)) for each in gradients)


def _version(gradient: Tensor) -> int:
    return -1 if gradient.is_inference() else gradient._version  # noqa: SLF001 - no public way

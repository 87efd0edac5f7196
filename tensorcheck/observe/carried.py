"""Whether the gradients of the step before are still there when new ones are added.

No value is read. Autograd adds to an existing gradient in place, which raises the tensor's version; a gradient that is
the same tensor at the same version as when the optimizer had stepped was not zeroed since, by whatever means.
"""

import weakref
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor
from torch.optim import Optimizer


@dataclass(slots=True)
class _Watched:
    """One parameter's gradient stands for its optimizer's."""

    parameter: weakref.ref[Tensor]
    gradient: weakref.ref[Tensor]
    version: int
    is_untouched: bool = False
    is_carried: bool = False


_ByOptimizer: TypeAlias = "weakref.WeakKeyDictionary[Optimizer, _Watched]"


class CarriedGradients:
    """Follows one gradient of each optimizer from its step to its next."""

    def __init__(self) -> None:
        self._watched: _ByOptimizer = weakref.WeakKeyDictionary()

    def stepped(self, optimizer: Optimizer) -> bool:
        """An optimizer stepped: whether this step's gradients were added to the last step's."""
        last = self._watched.pop(optimizer, None)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None:
                    watched = _Watched(weakref.ref(parameter), weakref.ref(gradient), gradient._version)  # noqa: SLF001
                    self._watched[optimizer] = watched
                    return last is not None and last.is_carried
        return last is not None and last.is_carried

    def zeroed(self, optimizer: Optimizer) -> None:
        """An optimizer zeroed its gradients."""
        self._watched.pop(optimizer, None)

    def backward_started(self) -> None:
        """Gradients are about to be added."""
        for watched in self._watched.values():
            gradient = _same_gradient(watched)
            watched.is_untouched = gradient is not None and gradient._version == watched.version  # noqa: SLF001

    def backward_finished(self) -> None:
        """Gradients were added."""
        for watched in self._watched.values():
            gradient = _same_gradient(watched)
            if watched.is_untouched and gradient is not None and gradient._version != watched.version:  # noqa: SLF001
                watched.is_carried = True


def _same_gradient(watched: _Watched) -> Tensor | None:
    parameter, gradient = watched.parameter(), watched.gradient()
    return gradient if parameter is not None and gradient is not None and parameter.grad is gradient else None

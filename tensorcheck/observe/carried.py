"""Whether the gradients of the step before are still there when new ones are added.

No value is read. Autograd adds to an existing gradient in place, which raises the tensor's version; a gradient that is
the same tensor at the same version as when the optimizer had stepped was not zeroed since, by whatever means. What was
added after the step may yet be zeroed before the next: a generator's step leaves gradients in its critic.
"""

import weakref

from torch import Tensor
from torch.optim import Optimizer


class CarriedGradient:
    """Follows one gradient, which stands for all of its optimizer's, from a step to the next."""

    __slots__ = ("_gradient", "_is_carried", "_is_untouched", "_parameter", "_version", "in_a_row")

    def __init__(self) -> None:
        self._parameter: weakref.ref[Tensor] | None = None
        self._gradient: weakref.ref[Tensor] | None = None
        self._version = 0
        """What it had after the step, or after the last `backward` since: others that change it zero it."""
        self._is_untouched = False
        self._is_carried = False
        self.in_a_row = 0
        """How many steps, up to the last, were taken with gradients that were added to older ones."""

    def stepped(self, optimizer: Optimizer) -> None:
        """The optimizer stepped."""
        self.in_a_row = self.in_a_row + 1 if self._is_carried else 0
        self.zeroed()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None:
                    self._follow(parameter, gradient)
                    return

    def _follow(self, parameter: Tensor, gradient: Tensor) -> None:
        if self._parameter is None or self._parameter() is not parameter:
            self._parameter = weakref.ref(parameter)
        self._gradient, self._version = weakref.ref(gradient), gradient._version  # noqa: SLF001 - no public way

    def zeroed(self) -> None:
        """The gradients were zeroed."""
        self._gradient, self._is_untouched, self._is_carried = None, False, False

    def backward_started(self) -> None:
        """Gradients are about to be added."""
        if self._gradient is not None:
            gradient = self._same()
            self._is_untouched = gradient is not None and gradient._version == self._version  # noqa: SLF001 - likewise
            self._is_carried &= self._is_untouched

    def backward_finished(self) -> None:
        """Gradients were added."""
        if self._is_untouched:
            gradient = self._same()
            if gradient is not None and gradient._version != self._version:  # noqa: SLF001 - likewise
                self._is_carried, self._version = True, gradient._version  # noqa: SLF001 - likewise

    def _same(self) -> Tensor | None:
        parameter = self._parameter() if self._parameter is not None else None
        gradient = self._gradient() if self._gradient is not None else None
        return gradient if parameter is not None and gradient is not None and parameter.grad is gradient else None

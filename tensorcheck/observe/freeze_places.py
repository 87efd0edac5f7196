"""Which line froze each parameter of the process, from its first line on.

`parameter.requires_grad = False` runs no Python that could be patched, so for as long as this listens the attribute is
a property of `nn.Parameter` that does the same.
"""

import weakref
from contextlib import ExitStack
from types import CodeType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tensorcheck.events.event import Event
from tensorcheck.events.forward import ParametersFrozen
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject


class FreezePlaces(Probe):
    """Hears of every parameter that is frozen, whichever way."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ParametersFrozen})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._frozen: dict[int, tuple[weakref.ref[Tensor], CodeType, int]] = {}

    def attach(self, handles: ExitStack) -> None:
        """Patch both methods, and stand in for the attribute."""
        for owner in (nn.Module, Tensor):
            handles.enter_context(PATCHES.patch_attribute(owner, "requires_grad_", self))
        nn.Parameter.requires_grad = _heard(self)  # type: ignore[assignment]  # it is a property
        handles.enter_context(PATCHES.undo_in_forks(_leave_attribute))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A module or a tensor was frozen or released."""
        if not (args[1] if len(args) > 1 else kwargs.get("requires_grad", True)):
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look at parameters
                for tensor in args[0].parameters() if isinstance(args[0], nn.Module) else [args[0]]:
                    self.froze(tensor)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Nothing was frozen."""

    def froze(self, tensor: Tensor) -> None:
        """Write down the line that froze a parameter."""
        frame = user_frame()
        if frame is not None and isinstance(tensor, nn.Parameter):
            self._frozen[id(tensor)] = (weakref.ref(tensor), frame.f_code, frame.f_lasti)

    def tell(self, subject: Subject) -> None:
        """Say of a model what was frozen before anybody looked, by the line that froze last."""
        parameters = list(subject.parameters())
        frozen = [tensor for _, tensor in parameters if not tensor.requires_grad]
        heard = [self._frozen[id(tensor)] for tensor in frozen if self._is_known(tensor)]
        if not heard or len(heard) < len(frozen):
            return
        _, code, instruction = heard[-1]
        site = self.sink.sites.at(code, instruction)
        self.sink.emit(ParametersFrozen(subject.step, "", len(frozen), len(parameters), site), subject)

    def _is_known(self, tensor: Tensor) -> bool:
        known = self._frozen.get(id(tensor))
        return known is not None and known[0]() is tensor


def _heard(probe: FreezePlaces) -> property:
    attribute = Tensor.requires_grad

    def get(parameter: nn.Parameter) -> Any:  # noqa: ANN401 - a subclass may answer as it likes
        return attribute.__get__(parameter)  # type: ignore[attr-defined]  # it is a descriptor

    def give(parameter: nn.Parameter, value: object) -> None:
        try:
            attribute.__set__(parameter, value)  # type: ignore[attr-defined]  # likewise
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise
        if not value and not probe.is_off:
            probe.froze(parameter)

    return property(get, give, doc=attribute.__doc__)


def _leave_attribute() -> None:
    if "requires_grad" in vars(nn.Parameter):
        del nn.Parameter.requires_grad

"""Freezing: `requires_grad_(False)` on the model or a part of it."""

from contextlib import ExitStack
from typing import Any, ClassVar

from torch import nn

from tensorcheck.events.event import Event
from tensorcheck.events.forward import ParametersFrozen
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.subject import Subject

_MOST_THAWS = 8
"""An adversarial training freezes and unfreezes in each step: then its parameters are not compared each time."""


class FreezeProbe(Probe):
    """Hears `nn.Module.requires_grad_`. Setting `parameter.requires_grad` cannot be heard: it runs no Python."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ParametersFrozen})

    def attach(self, handles: ExitStack) -> None:
        """Patch `nn.Module.requires_grad_`."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "requires_grad_", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Parameters were frozen or released."""
        requires_grad = args[1] if len(args) > 1 else kwargs.get("requires_grad", True)
        for subject in self.sink.subjects:
            path = subject.path_of(args[0])
            if path is not None and requires_grad and subject.thaws < _MOST_THAWS:
                subject.was_thawed, subject.thaws = True, subject.thaws + 1
            elif path is not None and not requires_grad:
                self._frozen(subject, path)

    def _frozen(self, subject: Subject, path: str) -> None:
        total = sum(1 for _ in subject.parameters())
        event = ParametersFrozen(
            step=subject.step,
            module=path,
            frozen=total - subject.trainable(),
            total=total,
            site=self.sink.sites.here(),
        )
        self.sink.emit(event, subject)

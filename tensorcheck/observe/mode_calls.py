"""`train()` and `eval()`: where a model was put into its mode."""

from contextlib import ExitStack
from typing import Any, ClassVar

from torch import nn

from tensorcheck.events.event import Event
from tensorcheck.events.forward import ModeSet
from tensorcheck.events.passes import EvaluatedInTrainMode
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe


class ModeProbe(Probe):
    """Hears `nn.Module.train`, which `eval` calls too, and which calls itself for every child."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ModeSet, EvaluatedInTrainMode})

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all modules share."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "train", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is about to switch."""
        for subject in self.sink.subjects:
            if subject.model() is args[0] and self.sink.hears_this_thread():
                mode = bool(args[1] if len(args) > 1 else kwargs.get("mode", True))
                if mode:
                    subject.set_to_train_at = subject.step
                frame = user_frame()
                key = ("mode", subject, mode, (id(frame.f_code), frame.f_lasti) if frame is not None else None)
                if not self.sink.is_known(key):
                    self.sink.emit(ModeSet(subject.step, mode, self.sink.sites.here()), subject, signature=key)

"""Evaluation with gradients tracked: calls in evaluation mode whose outputs nobody differentiates."""

from types import CodeType

import torch

from tensorcheck.events.forward import EvaluatedWithGradients
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.subject import Subject

_CALLS = 3
"""So many in a row; fewer may be a look at something."""


class Evaluations:
    """Counts those of one model since something was last differentiated."""

    def __init__(self, sink: Sink, subject: Subject) -> None:
        self._sink = sink
        self._subject = subject
        self._differentiated = -1
        self._calls = 0
        self._place: tuple[CodeType, int] | None = None

    def called(self) -> None:
        """The model was called in evaluation mode, and its output wants a gradient."""
        if self._differentiated != self._sink.differentiations:
            self._differentiated, self._calls = self._sink.differentiations, 0
        self._calls += 1
        if self._calls == _CALLS and not _is_transformed():
            frame = user_frame()
            self._place = (frame.f_code, frame.f_lasti) if frame is not None else None

    def end(self) -> None:
        """The model is trained again, or nothing is watched any more."""
        place, self._place = self._place, None
        if place is not None and self._differentiated == self._sink.differentiations:
            site = self._sink.sites.at(*place)
            event = EvaluatedWithGradients(self._subject.step, self._subject.kind, self._calls, site)
            self._sink.emit(event, self._subject)
        self._calls = 0


def _is_transformed() -> bool:
    """Whether a transformation of `torch.func` is running, which differentiates in its own way."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # noqa: SLF001 - no public way

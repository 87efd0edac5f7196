"""Dropout by a function: whether it heeds the mode of the module that calls it.

Heard in traced steps, of which the first evaluation is one: what the function was given tells whether it drops, and the
source whether its user said when it shall.
"""

import ast
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

from torch.nn import functional

from tensorcheck.events.event import Event
from tensorcheck.events.forward import DroppedInEvaluation
from tensorcheck.observe.frames import expression_at, user_frame
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.scopes import called_name

_WITH_A_FLAG = ("dropout", "dropout1d", "dropout2d", "dropout3d")
_ATTENTION = "scaled_dot_product_attention"
_FLAG = 2
"""The position of `training` in these; that of `dropout_p` in attention is 4."""
_PROBABILITY = 4


class DropoutProbe(Probe):
    """Hears what drops out in modules that are in evaluation mode."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({DroppedInEvaluation})

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        hearing = self.sink.tracing.recorder.hearing
        for name in (*_WITH_A_FLAG, _ATTENTION):
            function: Callable[..., Any] = getattr(functional, name)
            hearing[function] = partial(self._dropped, name)
            handles.callback(hearing.pop, function, None)

    def _dropped(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        module = self.sink.tracing.running_module
        if module is None or module.training or not self.sink.hears_this_thread():
            return
        probability = _probability(name, args, kwargs)
        frame = user_frame()
        node = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
        if probability <= 0 or frame is None or not isinstance(node, ast.Call) or not _leaves_open(node, name):
            return
        site = self.sink.sites.at(frame.f_code, frame.f_lasti)
        for subject in self.sink.subjects:
            path = subject.path_of(module)
            if path is not None and not self.sink.is_known(key := ("dropout", subject, site)):
                event = DroppedInEvaluation(subject.step, name, path, type(module).__name__, probability, site)
                self.sink.emit(event, subject, signature=key)


def _probability(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """How likely it drops an element; 0 where it does not drop."""
    if name == _ATTENTION:
        given = args[_PROBABILITY] if len(args) > _PROBABILITY else kwargs.get("dropout_p", 0.0)
        return float(given)
    is_on = args[_FLAG] if len(args) > _FLAG else kwargs.get("training", True)
    return float(args[1] if len(args) > 1 else kwargs.get("p", 0.5)) if is_on else 0.0


def _leaves_open(call: ast.Call, name: str) -> bool:
    """Whether a call of this function does not say for which mode it is; attention can't say it."""
    if called_name(call) != name or any(isinstance(each, ast.Starred) for each in call.args):
        return False
    says = len(call.args) > _FLAG or any(word.arg in ("training", None) for word in call.keywords)
    return name == _ATTENTION or not says

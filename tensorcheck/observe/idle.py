"""Parameters that an optimizer holds and that no gradient ever reaches, known for certain when the run is over.

A head may be idle in the first steps and trained later, so what the traced steps show is only suspected. Whether such a
parameter has a gradient is asked at each later step, which takes no more than reading an attribute.
"""

import inspect
import sys
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.events.gradients import ParametersUnreached
from tensorcheck.observe.describe import kinds_of
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site
from tensorcheck.trace import Operation

FEWEST_STEPS = 8
"""A shorter run says nothing: of two heads that take turns by chance one may be idle that long."""


@dataclass(slots=True)
class _Suspected:
    """What one optimizer holds of one model and no traced step reached."""

    optimizer: weakref.ref[Optimizer]
    parameters: dict[str, weakref.ref[Tensor]]
    used: dict[str, Operation]
    standing: Standing
    site: Site | None
    steps: int = 1
    seen: ParametersUnreached | None = None
    """What was to be told when it was last looked at: a model that a function built is gone before the run is over."""


class IdleParameters:
    """Follows the suspected parameters of all models."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._suspected: dict[tuple[Subject, int], _Suspected] = {}
        self._seen: dict[tuple[Subject, int], set[str]] = {}
        """Those that were held at the first look, of which what joins later is left out."""

    def suspect(
        self,
        subject: Subject,
        optimizer: Optimizer,
        parameters: Mapping[str, Tensor],
        used: Mapping[str, Operation],
        all_held: set[str],
    ) -> None:
        """A traced step reached none of these parameters, though something was computed with the `used` ones."""
        key = subject, id(optimizer)
        if key in self._suspected:
            return self._suspected[key].used.update(used)
        if self._seen.setdefault(key, all_held) is all_held and parameters and len(parameters) < len(all_held):
            self._suspected[key] = _Suspected(
                weakref.ref(optimizer),
                {name: weakref.ref(tensor) for name, tensor in parameters.items()},
                dict(used),
                Standing(parameters),
                self._sink.sites.here(),
            )
        return None

    def look(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step: what has a gradient by now is not idle."""
        for (subject, _), suspected in self._suspected.items():
            if suspected.optimizer() is optimizer:
                suspected.steps += 1
                arrived = [name for name, known in suspected.parameters.items() if _has_gradient(known())]
                for name in arrived:
                    del suspected.parameters[name]
                if suspected.steps >= FEWEST_STEPS and suspected.steps.bit_count() == 1:
                    suspected.seen = self._found(subject, suspected)

    def close(self) -> None:
        """The run is over, unless an exception ends it early: then it had yet to come to what is idle."""
        for (subject, _), suspected in self._suspected.items() if sys.exc_info()[0] is None else ():
            found = self._found(subject, suspected) if subject.model() is not None else suspected.seen
            if suspected.steps >= FEWEST_STEPS and found is not None and suspected.parameters:
                self._sink.emit(_still(found, suspected), subject)
        self._suspected.clear()

    def _found(self, subject: Subject, suspected: _Suspected) -> ParametersUnreached | None:
        model = subject.model()
        if model is None:
            return None
        names = [name for name in suspected.standing.names() if name in suspected.parameters]
        names = [name for name in names if _is_of_user(model, name)]
        return _event(subject, model, suspected, names) if names else None


def _still(found: ParametersUnreached, suspected: _Suspected) -> ParametersUnreached:
    """The same, of those that no gradient has reached since."""
    left = suspected.parameters
    return replace(
        found,
        unused=tuple(name for name in found.unused if name in left),
        ignored=tuple(name for name in found.ignored if name in left),
        steps=suspected.steps,
    )


def _event(subject: Subject, model: nn.Module, suspected: _Suspected, names: list[str]) -> ParametersUnreached:
    paths = dict.fromkeys(name.rpartition(".")[0] for name in names)
    sites = [definition_site(model, path) for path in paths if path]
    optimizer = suspected.optimizer()
    return ParametersUnreached(
        step=subject.step,
        unused=tuple(name for name in names if name not in suspected.used),
        ignored=tuple(name for name in names if name in suspected.used),
        optimizer=type(optimizer).__name__ if optimizer is not None else "the optimizer",
        steps=suspected.steps,
        definitions=tuple(dict.fromkeys(site for site in sites if site is not None)),
        used=next((suspected.used[name].site for name in names if name in suspected.used), None),
        step_site=suspected.site,
        kinds=kinds_of(model),
    )


def _has_gradient(tensor: Tensor | None) -> bool:
    return tensor is None or tensor.grad is not None


def _is_of_user(model: nn.Module, name: str) -> bool:
    """Whether the module that has the layer is the user's own: a ready-made model has parts for other tasks."""
    path = name.rpartition(".")[0]
    while path:
        path = path.rpartition(".")[0]
        owner = _owner(model.get_submodule(path))
        if owner is not Owner.TORCH:
            return owner is Owner.USER
    return True


def _owner(module: nn.Module) -> Owner:
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return owner_of(code.co_filename) if code is not None else Owner.INSTALLED

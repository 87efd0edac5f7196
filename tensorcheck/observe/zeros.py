"""Gradients that are exactly zero everywhere: at each traced step, and at a few later ones where they all were so far.

Values are read, which waits for the device; so it is done in traced steps, and later only for what is suspected.
"""

import weakref
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import _disable_current_modes

from tensorcheck.events.gradients import GradientsZero
from tensorcheck.observe.describe import kinds_of
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.subject import Subject

_LATER = (6, 12)
"""The steps of an optimizer at which it is looked again; a gradient may be zero while the learning rate warms up."""
_FEWEST_LOOKS = 4
_FEW = 64
"""Values of a gradient that are looked at before all of them are."""


@dataclass(slots=True)
class _Suspected:
    subject: Subject
    optimizer: weakref.ref[Optimizer]
    parameters: dict[str, weakref.ref[Tensor]]
    """Those whose gradients were zero at each look."""
    given: frozenset[str]
    """All that had a gradient at the first look."""
    looks: int = 1
    steps: int = 0
    """How many steps the optimizer has taken since the first look."""


class ZeroGradients:
    """Follows what is zero."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._suspected: dict[tuple[Subject, int], _Suspected] = {}
        self._arrived: dict[Subject, frozenset[str]] = {}
        """Of each model the parameters whose gradients were zero when the last `backward` ended."""
        self._moved: defaultdict[Subject, set[str]] = defaultdict(set)
        """Of each model those that had another gradient once: they are not looked at again."""

    def arrived(self, subject: Subject) -> None:
        """A `backward` of a traced step ended: what is zeroed by hand later had a gradient."""
        if self._sink.wants(GradientsZero):
            moved = self._moved[subject]
            given = {
                name: tensor for name, tensor in subject.parameters() if name not in moved and tensor.grad is not None
            }
            self._arrived[subject] = frozenset(_zero(given))
            moved |= given.keys() - self._arrived[subject]

    def look(self, subject: Subject, optimizer: Optimizer, held: Mapping[str, Tensor]) -> None:
        """A traced step: which of these gradients are zero."""
        if not self._sink.wants(GradientsZero):
            return
        key, known = (subject, id(optimizer)), self._suspected.get((subject, id(optimizer)))
        given = {name: each for name, each in held.items() if each.grad is not None}
        arrived = self._arrived.get(subject, frozenset())
        if known is not None:
            known.steps += 1
            known.parameters = {name: each for name, each in known.parameters.items() if name in arrived}
            self._narrow(known)
        elif given:
            zero = _zero({name: each for name, each in given.items() if name in arrived})
            references = {name: weakref.ref(tensor) for name, tensor in zero.items()}
            self._suspected[key] = _Suspected(subject, weakref.ref(optimizer), references, frozenset(given))

    def look_later(self, optimizer: Optimizer) -> None:
        """A step that is not traced."""
        for suspected in self._suspected.values():
            if suspected.parameters and suspected.optimizer() is optimizer:
                suspected.steps += 1
                if suspected.steps in _LATER:
                    self._narrow(suspected)
                if suspected.steps == _LATER[-1] and suspected.looks >= _FEWEST_LOOKS:
                    self._tell(suspected)

    def close(self) -> None:
        """What was seen too seldom is not told."""
        self._suspected.clear()

    def _narrow(self, suspected: _Suspected) -> None:
        alive = {name: tensor for name, known in suspected.parameters.items() if (tensor := known()) is not None}
        given = {name: tensor for name, tensor in alive.items() if tensor.grad is not None}
        zero = _zero(given)
        suspected.looks += 1
        suspected.parameters = {name: suspected.parameters[name] for name in zero}

    def _tell(self, suspected: _Suspected) -> None:
        subject, optimizer, model = suspected.subject, suspected.optimizer(), suspected.subject.model()
        names = _of_whole_layers(suspected)
        if names and model is not None:
            paths = dict.fromkeys(name.rpartition(".")[0] for name in names)
            sites = (definition_site(model, path) for path in paths if path)
            event = GradientsZero(
                step=subject.step,
                names=names,
                total=len(suspected.given),
                looks=suspected.looks,
                optimizer=type(optimizer).__name__,
                step_site=self._sink.sites.here(),
                definitions=tuple(dict.fromkeys(site for site in sites if site is not None)),
                kinds=kinds_of(model),
            )
            self._sink.emit(event, subject)


def _of_whole_layers(suspected: _Suspected) -> tuple[str, ...]:
    """Those whose module has no other gradient either, and at least one of a matrix.

    A bias alone may have none by the nature of the loss: what is added to all scores is nothing to their difference.
    """
    living = {name.rpartition(".")[0] for name in suspected.given - suspected.parameters.keys()}
    known = {name: tensor for name, each in suspected.parameters.items() if (tensor := each()) is not None}
    matrices = {name.rpartition(".")[0] for name, tensor in known.items() if tensor.dim() > 1}
    return tuple(name for name in known if (path := name.rpartition(".")[0]) in matrices and path not in living)


def _zero(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose gradient is zero everywhere; none where the values of one can't be read."""
    with suppress(Exception):  # a dtype or a subclass may have no `any`
        return _read(held)
    return {}


def _read(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    dense = {name: tensor for name, tensor in held.items() if _is_readable(tensor.grad)}
    if not dense:
        return {}
    with torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():  # noqa: SLF001 - not for a user's modes to see
        devices = {tensor.device for tensor in dense.values()}
        zero: set[str] = set()
        for device in devices:
            there = {
                name: grad.detach()
                for name, tensor in dense.items()
                if (grad := tensor.grad) is not None and tensor.device == device
            }
            few = _without_any({name: _few_of(grad) for name, grad in there.items()})
            zero |= _without_any({name: there[name] for name in few})
    return {name: tensor for name, tensor in dense.items() if name in zero}


def _few_of(grad: Tensor) -> Tensor:
    """Some of its values, from all over it: nearly always one of them is not zero, and the others need not be read."""
    return grad.view(-1)[:: grad.numel() // _FEW + 1] if grad.is_contiguous() else grad


def _without_any(grads: Mapping[str, Tensor]) -> set[str]:
    """Those that are zero; they are on one device, and the question is put to it once."""
    if not grads:
        return set()
    found = torch.stack([grad.any() for grad in grads.values()]).tolist()
    return {name for name, is_any in zip(grads, found, strict=True) if not is_any}


def _is_readable(grad: Tensor | None) -> bool:
    return type(grad) is Tensor and grad.layout is torch.strided and not grad.is_meta and grad.numel() > 0

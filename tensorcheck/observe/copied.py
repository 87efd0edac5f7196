"""An optimizer that steps on one model's parameters while another gets the gradients.

That is what a `deepcopy` after the optimizer was built leads to, or a second instance, or a mixed-up name. Averages,
target networks and teachers get no gradients; where an inner copy does, the optimizer's own parameters have some when
it steps.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.events.optimizer import CopyTrained
from tensorcheck.lineage import Lineage
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.optimized import optimized_parameters, parameters_of
from tensorcheck.observe.stack import standing
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.unregistered import modules_at_hand
from tensorcheck.sites import Site

_LOOKS = 4
"""At how many of an optimizer's first steps it is looked for."""
_LATER = 6
"""At how many later steps without gradients: the model may be replaced in the middle of a training."""


@dataclass(frozen=True, eq=False, slots=True)
class TrainedCopy:
    """What was found, and the module that gets the gradients; not kept."""

    event: CopyTrained
    model: nn.Module


class SuspectedCopy:
    """What an optimizer's first steps show; a single step without gradients may be there for a scheduler alone."""

    def __init__(self) -> None:
        self._looks = 0
        self._later = _LATER
        self._still: Standing | None = None

    def is_wanted(self, optimizer: Optimizer) -> bool:
        """Whether to look at this step."""
        if self._looks < _LOOKS:
            return True
        if not self._later or not _lacks_gradients(optimizer):
            return False
        self._later -= 1
        return True

    def look(self, optimizer: Optimizer, built: Site | None, here: Callable[[], Site | None]) -> TrainedCopy | None:
        """What is certain when the optimizer is about to step."""
        self._looks += 1
        held = _wanting(parameters_of(optimizer))
        if not held or any(tensor.grad is not None for tensor in held):
            self._looks = _LOOKS
            return None
        with standing() as frames:
            named = modules_at_hand(scopes_of(frames))
            name, model = next(_trained(named, held), ("", None))
            if model is None or not self._stood_still(model):
                return None
            self._looks, self._later = _LOOKS, 0
            gradients = sum(tensor.grad is not None for tensor in model.parameters())
            lineage = _lineage(Lineages(frames), name, model)
            kind = type(optimizer).__name__
            is_alike = _is_alike(held, model)
            event = CopyTrained(0, kind, len(held), is_alike, name, gradients, built, here(), lineage)
            return TrainedCopy(event, model)

    def _stood_still(self, model: nn.Module) -> bool:
        """Whether it was there before, and nobody moved it since by hand."""
        names = dict(model.named_parameters())
        before, self._still = self._still, Standing(names)
        return before is not None and len(before.names()) == len(_wanting(names.values()))


def _lacks_gradients(optimizer: Optimizer) -> bool:
    """Whether the first parameter that could have a gradient has none."""
    for tensor in parameters_of(optimizer):
        if tensor.requires_grad:
            return tensor.grad is None
    return False


def _lineage(lineages: Lineages, name: str, model: nn.Module) -> Lineage:
    """Where the model came from, if the innermost frame is where it has this name."""
    node, scope = ast.parse(name, mode="eval").body, lineages.scope
    if scope is None or scope.standing is None or value_of(node, scope) is not model:
        return Lineage()
    for each in ast.walk(node):
        ast.copy_location(each, scope.standing)
    return lineages.of(node, None)


def _trained(named: Mapping[str, nn.Module], held: Sequence[Tensor]) -> Iterator[tuple[str, nn.Module]]:
    """The modules that have gradients in all parameters, and none that an optimizer holds: first those just alike."""
    waiting = [(name, module) for name, module in named.items() if _is_alike(held, module) or _waits(module)]
    taken = optimized_parameters() if waiting else set()
    free = [each for each in waiting if not any(id(tensor) in taken for tensor in each[1].parameters())]
    return iter(sorted(free, key=lambda each: (not _is_alike(held, each[1]), -sum(_shapes(each[1]).values()))))


def _is_alike(held: Sequence[Tensor], module: nn.Module) -> bool:
    """Whether a module has parameters of these shapes, with gradients."""
    return Counter(tensor.shape for tensor in held) <= _shapes(module)


def _waits(module: nn.Module) -> bool:
    wanting = _wanting(module.parameters())
    return bool(wanting) and all(tensor.grad is not None for tensor in wanting)


def _shapes(module: nn.Module) -> Counter[torch.Size]:
    return Counter(tensor.shape for tensor in module.parameters() if tensor.requires_grad and tensor.grad is not None)


def _wanting(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.requires_grad]

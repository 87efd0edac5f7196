"""Modules beside the trained ones that get gradients which no optimizer takes: a teacher that nobody froze."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.optimized import optimized_parameters
from tensorcheck.observe.stack import standing
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.unregistered import modules_at_hand


class Outsiders:
    """Looks twice, for what was moved by hand in between is no outsider."""

    def __init__(self) -> None:
        self._still: dict[str, Standing] = {}

    def first_look(self) -> None:
        """An optimizer is about to step on gradients."""
        self._still = {name: Standing(_named(module)) for name, module in _outside()}

    def second_look(self) -> Iterator[tuple[str, int]]:
        """Those that are there still, with how many gradients they have."""
        for name, module in _outside():
            still, wanted = self._still.get(name), _named(module)
            if still is not None and len(still.names()) == len(wanted):
                yield name, len(wanted)
        self._still = {}


def _named(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


def _outside() -> list[tuple[str, nn.Module]]:
    """The modules at hand of which no optimizer holds a parameter, nor one of a larger module that they are part of."""
    with standing() as frames:
        named = modules_at_hand(scopes_of(frames))
    waiting = [(name, module) for name, module in named.items() if _waits(module)]
    taken = optimized_parameters() if waiting else set()
    trained = [_ids(module) for module in named.values() if _ids(module) & taken]
    outside = [(name, module) for name, module in waiting if not any(_ids(module) & ids for ids in trained)]
    return [each for each in outside if not _is_inside(each[1], [module for _, module in outside])]


def _waits(module: nn.Module) -> bool:
    """Whether all of its parameters have a gradient; one that has them all itself is a loss with its own."""
    tensors = list(module.parameters())
    own = sum(1 for _ in module.parameters(recurse=False))
    return len(tensors) > own and all(tensor.requires_grad and tensor.grad is not None for tensor in tensors)


def _ids(module: nn.Module) -> set[int]:
    return {id(tensor) for tensor in module.parameters()}


def _is_inside(module: nn.Module, others: Iterable[nn.Module]) -> bool:
    return any(other is not module and any(part is module for part in other.modules()) for other in others)

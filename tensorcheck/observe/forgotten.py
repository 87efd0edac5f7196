"""Parameters that got a gradient and that no optimizer holds: of the model, and of what it does not know as its own.

Some are updated by hand, so nothing is said before a few steps went by in which they stood still.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.events.optimizer import ParametersForgotten
from tensorcheck.observe.describe import kinds_of, tensor_meta
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.optimized import optimized_parameters
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame, standing
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.unregistered import Unregistered, beside, in_containers
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor

ROUNDS = 2
"""From step to step so often parameters have to stand still: updates by hand may take turns with an optimizer."""


class Suspected:
    """Parameters that an optimizer's step left out, until it is known whether anything else moves them."""

    def __init__(self, event: ParametersForgotten, tensors: Mapping[str, Tensor]) -> None:
        self._event = event
        self._still = Standing(tensors)
        self.names = frozenset(tensors)
        self.rounds = 0
        """How many steps later it was looked at them again."""

    def look_again(self) -> None:
        """One more step is about to be taken."""
        self.rounds += 1
        self._still.names()

    def confirmed(self, step: int) -> ParametersForgotten | None:
        """What is forgotten still, at this step; None if that is nothing."""
        names = self._still.without(optimized_parameters())
        if not names:
            return None
        kept = tuple(each for each in self._event.forgotten if each.name in names)
        if len(kept) == len(self._event.forgotten):
            return replace(self._event, step=step)
        return replace(self._event, step=step, forgotten=kept, definitions=(), containers=())


def suspected_by(  # noqa: PLR0913 - the places and what is known already are told apart by their names
    optimizer: Optimizer,
    subject: Subject,
    held: Mapping[str, Tensor],
    *,
    built: Site | None,
    site: Site | None,
    besides: Collection[str] = (),
) -> Suspected | None:
    """What seems to be forgotten when this optimizer is about to step, which holds these parameters of the model.

    What goes by the names `besides` was looked at before.

    What is none of the model's is looked for at its first step alone: that takes longer than a step may.
    """
    known = {*held, *besides}
    missing = {name: tensor for name, tensor in subject.parameters() if name not in known and _waits(tensor)}
    if not missing and subject.step:
        return None
    with standing() as frames:
        others = [] if subject.step else list(_others(subject, frames))
        taken = optimized_parameters() if missing or others else set()
        others = [each for each in others if id(each.tensor) not in taken]
        left = {name: tensor for name, tensor in missing.items() if id(tensor) not in taken}
        tensors = {**left, **{each.name: each.tensor for each in others}}
        if not tensors:
            return None
        lineages = Lineages(frames)
        event = ParametersForgotten(
            step=subject.step,
            kind=type(optimizer).__name__,
            held=len(held),
            forgotten=tuple(NamedTensor(name, tensor_meta(tensor)) for name, tensor in tensors.items()),
            built=built,
            site=site,
            lineage=lineages.of_object(optimizer),
            definitions=tuple(_definitions(subject, list(left), others, lineages.scope)),
            containers=tuple(dict.fromkeys(each.container for each in others if each.container)),
            kinds=kinds_of(model) if (model := subject.model()) is not None else {},
        )
        return Suspected(event, tensors)


def _waits(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.grad is not None


def _others(subject: Subject, frames: Sequence[StackFrame]) -> Iterator[Unregistered]:
    model = subject.model()
    found = (*in_containers(model), *beside(model, scopes_of(frames))) if model is not None else ()
    return (each for each in found if _waits(each.tensor))


def _definitions(
    subject: Subject, names: Sequence[str], others: Sequence[Unregistered], scope: Scope | None
) -> Iterator[Site]:
    model = subject.model()
    paths = dict.fromkeys(name.rpartition(".")[0] for name in names)
    sites = [definition_site(model, path, scope) for path in paths if path] if model is not None else []
    sites += [each.site(scope) for each in {(id(each.holder), each.container): each for each in others}.values()]
    yield from dict.fromkeys(site for site in sites if site is not None)

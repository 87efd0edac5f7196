"""Parameters that got a gradient and that no optimizer holds: of the model, and of what it does not know as its own."""

import gc
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.lineage import Lineage
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.scopes import Scope, scopes_of
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame, standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.unregistered import Unregistered, beside, in_containers
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor


@dataclass(frozen=True, slots=True)
class Forgotten:
    """All of them at one step, and where the optimizer and what it lacks came from."""

    parameters: tuple[NamedTensor, ...] = ()
    containers: tuple[str, ...] = ()
    """The attributes that are plain lists or dictionaries and hold some of them."""
    lineage: Lineage = field(default_factory=Lineage)
    definitions: tuple[Site, ...] = ()


def forgotten_by(optimizer: Optimizer, subject: Subject, held: Collection[str]) -> Forgotten:
    """What is forgotten when this optimizer is about to step, which holds these parameters of the model.

    What is none of the model's is looked for at its first step alone: that takes longer than a step may.
    """
    missing = {name: tensor for name, tensor in subject.parameters() if name not in held and _waits(tensor)}
    if not missing and subject.step:
        return Forgotten()
    with standing() as frames:
        others = [] if subject.step else list(_others(subject, frames))
        taken = _taken() if missing or others else set()
        others = [each for each in others if id(each.tensor) not in taken]
        known = {name: tensor for name, tensor in missing.items() if id(tensor) not in taken}
        named = [*known.items(), *((each.name, each.tensor) for each in others)]
        if not named:
            return Forgotten()
        lineages = Lineages(frames)
        return Forgotten(
            tuple(NamedTensor(name, tensor_meta(tensor)) for name, tensor in named),
            tuple(dict.fromkeys(each.container for each in others if each.container)),
            lineages.of_object(optimizer),
            tuple(_definitions(subject, list(known), others, lineages.scope)),
        )


def _waits(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.grad is not None


def _others(subject: Subject, frames: Sequence[StackFrame]) -> Iterator[Unregistered]:
    model = subject.model()
    found = (*in_containers(model), *beside(model, scopes_of(frames))) if model is not None else ()
    return (each for each in found if _waits(each.tensor))


def _taken() -> set[int]:
    """The parameters of all optimizers that are alive: a model may have several, and others have yet to step."""
    # `type(...)` and not `isinstance`: that would run the `__class__` property of any lazy proxy on the heap.
    optimizers = [thing for thing in gc.get_objects() if issubclass(type(thing), Optimizer)]
    return {id(tensor) for each in optimizers for group in each.param_groups for tensor in group["params"]}


def _definitions(
    subject: Subject, names: Sequence[str], others: Sequence[Unregistered], scope: Scope | None
) -> Iterator[Site]:
    model = subject.model()
    paths = dict.fromkeys(name.rpartition(".")[0] for name in names)
    sites = [definition_site(model, path, scope) for path in paths if path] if model is not None else []
    sites += [each.site(scope) for each in {(id(each.holder), each.container): each for each in others}.values()]
    yield from dict.fromkeys(site for site in sites if site is not None)

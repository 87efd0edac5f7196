"""Tensors that a model uses as if they were parameters: attributes that want a gradient and are not registered."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from tensorcheck.observe.raw_steps import RawStep
from tensorcheck.observe.subject import Subject
from tensorcheck.trace import Origin


def loose_tensors(subject: Subject, raw: RawStep) -> dict[str, Tensor]:
    """Those that a step used, by their dotted paths.

    What `autograd.grad` was asked for is an input of a derivative and no weight: the points of a physics-informed
    network, an image that is attacked.
    """
    model = subject.model()
    asked = {place for each in raw.operations if _is_grad(each.function) for place in each.inputs}
    names = {
        value.name
        for place, value in enumerate(raw.values)
        if value.origin is Origin.ATTRIBUTE and value.requires_grad and place not in asked
    }
    return dict(_found(model, names)) if model is not None and names else {}


def _is_grad(function: object) -> bool:
    return getattr(function, "__name__", "") == "grad"


def _found(model: nn.Module, names: set[str]) -> Iterator[tuple[str, Tensor]]:
    modules: Mapping[str, nn.Module] = dict(model.named_modules())
    for name in sorted(names):
        path, _, attribute = name.rpartition(".")
        tensor = vars(modules[path]).get(attribute) if path in modules else None
        if type(tensor) is Tensor and (tensor.grad is not None if tensor.is_leaf else tensor.requires_grad):
            yield name, tensor

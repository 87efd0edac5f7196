"""The parameters that some optimizer holds."""

import gc
from collections.abc import Iterator

from torch import Tensor
from torch.optim import Optimizer


def optimized_parameters() -> set[int]:
    """The ids of what all optimizers hold that are alive: a model may have several, and others have yet to step.

    It asks the whole heap, which takes longer than a step may.
    """
    # `type(...)` and not `isinstance`: that would run the `__class__` property of any lazy proxy on the heap.
    optimizers = [thing for thing in gc.get_objects() if issubclass(type(thing), Optimizer)]
    return {id(tensor) for each in optimizers for tensor in parameters_of(each)}


def parameters_of(optimizer: Optimizer) -> Iterator[Tensor]:
    """What an optimizer holds, group after group; nothing while it is being built."""
    return (tensor for group in getattr(optimizer, "param_groups", ()) for tensor in group["params"])

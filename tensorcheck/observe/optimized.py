"""The parameters that some optimizer holds."""

from collections.abc import Iterator

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.observe.heap import living


def optimized_parameters() -> set[int]:
    """The ids of what all optimizers hold that are alive: a model may have several, and others have yet to step.

    It asks the whole heap, which takes longer than a step may.
    """
    return {id(tensor) for each in living(Optimizer) for tensor in parameters_of(each)}


def parameters_of(optimizer: Optimizer) -> Iterator[Tensor]:
    """What an optimizer holds, group after group; nothing while it is being built."""
    return (tensor for group in getattr(optimizer, "param_groups", ()) for tensor in group["params"])

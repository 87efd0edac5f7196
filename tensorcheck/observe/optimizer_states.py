"""What an optimizer keeps for its parameters, compared with them after its step raised."""

from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.frames import Owner
from tensorcheck.observe.stack import StackFrame
from tensorcheck.optimizing import OddState


def odd_state_of(frames: Sequence[StackFrame]) -> OddState | None:
    """The first state of another dtype than its parameter; None where no optimizer was stepping.

    Counts of steps, which have no dims, are floats on purpose.
    """
    steps = [frame for frame in frames if frame.owner is Owner.TORCH and frame.frame.f_code.co_name == "step"]
    optimizers = (frame.local("self") for frame in steps)
    optimizer = next((each for each in optimizers if isinstance(each, Optimizer)), None)
    return next(_odd_states(optimizer), None) if optimizer is not None else None


def _odd_states(optimizer: Optimizer) -> Iterator[OddState]:
    for parameter, states in optimizer.state.items():
        for name, kept in states.items() if isinstance(states, dict) else ():
            if (
                isinstance(kept, Tensor)
                and isinstance(parameter, Tensor)
                and kept.dim()
                and kept.dtype != parameter.dtype
            ):
                yield OddState(type(optimizer).__name__, str(name), tensor_meta(kept), tensor_meta(parameter))

"""An optimizer whose state does not fit its parameters, as plain facts."""

from dataclasses import dataclass

from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class OddState:
    """A tensor that an optimizer keeps for a parameter and that has another dtype than that parameter.

    >>> OddState("Adam", "exp_avg", TensorMeta((2,), "float32", "cpu"), TensorMeta((2,), "float64", "cpu")).state
    'exp_avg'
    """

    optimizer: str
    """Its class."""
    state: str
    """What it calls the tensor: `exp_avg`, `momentum_buffer`."""
    kept: TensorMeta
    parameter: TensorMeta

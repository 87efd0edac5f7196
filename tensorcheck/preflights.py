"""What a step takes that was made without values, as plain data."""

from dataclasses import dataclass, field

from tensorcheck.shapes import ShapeTable
from tensorcheck.tables import Layout, Table

_KILO = 1000
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Memory(Table):
    """Bytes that a training step keeps; each storage counts once.

    >>> print(Memory(weights=31_400, gradients=31_400, optimizer_state=62_800, activations=12_800))
    memory             bytes     about
    weights           31,400   31.4 kB
    gradients         31,400   31.4 kB
    optimizer state   62,800   62.8 kB
    activations       12,800   12.8 kB
    together         138,400  138.4 kB
    """

    weights: int = 0
    """Parameters and buffers."""
    gradients: int = 0
    optimizer_state: int = 0
    activations: int = 0
    """What autograd saves for the backward pass, without what is counted above."""

    @property
    def together(self) -> int:
        """All of it, as it is at the end of a backward pass that frees nothing on its way: an upper bound."""
        return self.weights + self.gradients + self.optimizer_state + self.activations

    def layout(self) -> Layout:
        """The table."""
        rows = [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer state", self.optimizer_state),
            ("activations", self.activations),
            ("together", self.together),
        ]
        cells = [(name, f"{count:,}", readable(count)) for name, count in rows]
        return Layout(("memory", "bytes", "about"), cells, numbers=frozenset({"bytes", "about"}))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was learned of one step.

    >>> Preflight(parameters=850, trainable=850).parameters
    850
    """

    shapes: ShapeTable = field(default_factory=lambda: ShapeTable(()))
    """Each call of each module."""
    parameters: int = 0
    """Elements of all parameters, shared ones once."""
    trainable: int = 0
    """Elements of those that require a gradient."""
    memory: Memory = field(default_factory=Memory)
    passed: tuple[str, ...] = ()
    """Which parts of the step ran to their end: forward, loss, backward, optimizer step."""
    failure: str = ""
    """The exception that ended it, in PyTorch's words."""
    stop: str = ""
    """That and where it had to stop for want of a value, or that no step could be made, in a sentence."""


def readable(count: int) -> str:
    """Bytes with a unit, as sellers of memory count.

    >>> readable(138_400), readable(999)
    ('138.4 kB', '999 B')
    """
    size, unit = float(count), _UNITS[0]
    for larger in _UNITS[1:]:
        if size < _KILO:
            break
        size, unit = size / _KILO, larger
    return f"{size:.1f} {unit}" if unit != _UNITS[0] else f"{count} B"

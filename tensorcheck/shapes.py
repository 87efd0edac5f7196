"""What each module was given and returned in the last traced call of the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from tensorcheck.tables import Layout, Table
from tensorcheck.tensors import NamedTensor


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One call of one module.

    >>> ModuleRow("head", "Linear", parameters=850).depth
    0
    """

    path: str
    """Dotted, from the watched model, which itself is the empty string."""
    kind: str
    inputs: tuple[NamedTensor, ...] = ()
    outputs: tuple[NamedTensor, ...] = ()
    parameters: int = 0
    """Elements of its own parameters, without those of its children."""
    with_gradient: int = 0
    """How many of its own parameter tensors had a gradient when the optimizer stepped."""
    trainable: int = 0
    """How many of them require one."""

    @property
    def depth(self) -> int:
        """How deep it lies below the model."""
        return self.path.count(".")

    @property
    def gradient(self) -> str:
        """`yes`, `no` or `part`; empty for a module with nothing to train."""
        if not self.trainable:
            return ""
        return "yes" if self.with_gradient == self.trainable else "part" if self.with_gradient else "no"


@dataclass(frozen=True, slots=True)
class ShapeTable(Table):
    """A table of the calls, in the order in which they were made; a module that is called twice has two rows.

    >>> print(ShapeTable((ModuleRow("head", "Linear", parameters=850, trainable=2, with_gradient=2),)))
    module  kind    input  output  parameters  gradient
    head    Linear                        850  yes
    """

    rows: tuple[ModuleRow, ...]

    def layout(self) -> Layout:
        """The table."""
        head = ("module", "kind", "input", "output", "parameters", "gradient")
        return Layout(head, [_cells(row) for row in self.rows], numbers=frozenset({"parameters"}))


def _cells(row: ModuleRow) -> tuple[str, ...]:
    name = f"{'  ' * row.depth}{row.path.rpartition('.')[2]}" if row.path else "the model"
    count = f"{row.parameters:,}" if row.parameters else ""
    return (name, row.kind, _shown(row.inputs), _shown(row.outputs), count, row.gradient)


def _shown(tensors: Sequence[NamedTensor]) -> str:
    return ", ".join(str(tensor.meta) for tensor in tensors)

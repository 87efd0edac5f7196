"""The words of a shape string: what `batch`, `3`, `...` and `h/2` stand for."""

from dataclasses import dataclass, field

from tensorcheck.specs.arithmetic import Expression


@dataclass(frozen=True, slots=True)
class Fixed:
    """A dim of this size: `3`, or `rows=3` where the name is for the reader alone.

    >>> print(Fixed(3), Fixed(3, note="rows"), Fixed(3, broadcasts=True))
    3 rows=3 #3
    """

    size: int
    note: str = field(default="", compare=False)
    broadcasts: bool = False
    """Whether a size of 1 will do as well."""

    def __str__(self) -> str:
        note = f"{self.note}=" if self.note else ""
        return f"{'#' * self.broadcasts}{note}{self.size}"


@dataclass(frozen=True, slots=True)
class Named:
    """A dim of any size, the same wherever the name stands.

    >>> print(Named("batch"), Named("batch", broadcasts=True))
    batch #batch
    """

    name: str
    broadcasts: bool = False

    def __str__(self) -> str:
        return f"{'#' * self.broadcasts}{self.name}"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A dim of any size: `_`, or `_rows` where the name is for the reader alone."""

    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"_{self.note}"


@dataclass(frozen=True, slots=True)
class Computed:
    """A dim whose size follows from those of other names: `h/2`, `seq-1`, `heads*width`."""

    expression: Expression
    broadcasts: bool = False

    def __str__(self) -> str:
        return f"{'#' * self.broadcasts}{self.expression}"


@dataclass(frozen=True, slots=True)
class Several:
    """Any number of dims, none included: `...`, or `*batch` where they are the same wherever the name stands.

    >>> print(Several("batch"), Several("batch", broadcasts=True), Several())
    *batch *#batch ...
    """

    name: str = ""
    broadcasts: bool = False

    def __str__(self) -> str:
        return f"*{'#' * self.broadcasts}{self.name}" if self.name else "..."


Dim = Fixed | Named | Ignored | Computed | Several

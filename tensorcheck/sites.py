"""A place in source code, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """One expression of the user's source.

    Columns count characters from 1 and `end_column` is exclusive, as SARIF has them; a place whose columns are not
    known (a frame without position information) has 0 for both.

    >>> site = Site("train.py", 41, 8, 24, code="loss_fn(pred, y)", function="train")
    >>> print(site)
    train.py:41:8
    """

    file: str
    line: int
    column: int = 0
    end_column: int = 0
    code: str = ""
    """The expression itself, on one line; the whole statement where columns are not known."""
    source: str = ""
    """The source line that holds the expression's first character, without its newline."""
    function: str = ""
    """The qualified name of the function around it, such as `Digits.forward`; empty at module level."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"

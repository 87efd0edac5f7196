"""An edit that a rule proposes, as plain data: how its user would write it, and what it does to a copy of the call.

A rule proposes; an experiment applies each edit to a copy and runs it; only what then passes is called tried.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChangeOperand:
    """The failing call gets, in an operand's place, what a method of `torch.Tensor` makes of it.

    >>> ChangeOperand("input", "to", ("torch.float32",))
    ChangeOperand(operand='input', method='to', arguments=('torch.float32',))
    """

    operand: str
    """The operand's name in the call."""
    method: str
    """`float`, `to`, `unsqueeze`, `squeeze`, `permute`, `transpose`, `flatten`, `reshape`, `contiguous`, …"""
    arguments: tuple[object, ...] = ()
    """Numbers, strings and tuples of numbers; a dtype as the string `torch.float32`."""


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """The same, but where the operand comes from: before the model is given it, where a model is.

    >>> ChangeSource("input", "float")
    ChangeSource(operand='input', method='float', arguments=())
    """

    operand: str
    method: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """The failing layer is built with another number, or the failing operation gets another plain argument.

    >>> ChangeSetting("in_features", 3136)
    ChangeSetting(setting='in_features', value=3136)
    """

    setting: str
    value: object


Edit = ChangeOperand | ChangeSource | ChangeSetting


@dataclass(frozen=True, slots=True)
class Fix:
    """One proposal.

    >>> Fix("rows.float()", (ChangeOperand("input", "float"),)).help
    'rows.float()'
    """

    help: str
    """What to write, imperative and exact, so that it can be pasted."""
    edits: tuple[Edit, ...]
    """All of them together; most often one."""

"""A saved state that did not fit what it was loaded into, as plain facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorcheck.lineage import Lineage
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class WrongSize:
    """A parameter or buffer that was saved with another shape."""

    name: str
    saved: TensorMeta
    own: TensorMeta
    layer: ModuleMeta | None = None
    """The module that holds it, where its path and its line are known."""
    made: Mapping[str, Lineage] = field(default_factory=dict)
    """Where each number that this module was built with was written, by the setting's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of what was given, and what stands there.

    >>> str(Entry("model", "dict of 8 tensors"))
    '`model`: dict of 8 tensors'
    """

    key: str
    shown: str
    fits: bool = False
    """Whether it is itself the state that was wanted."""

    def __str__(self) -> str:
        return f"`{self.key}`: {self.shown}"


@dataclass(frozen=True, slots=True)
class Groups:
    """What an optimizer has, or what a saved state was of: its parameter groups."""

    sizes: tuple[int, ...]
    """How many parameters each group has."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """What was given to `load_state_dict`, and what it should have been."""

    into: str
    """The class of the model or the optimizer."""
    is_optimizer: bool
    given: str = ""
    """The class of what was given."""
    spelled: str = ""
    """How the user's line spells it."""
    target: str = ""
    """How the user's line spells the model or the optimizer."""
    entries: tuple[Entry, ...] = ()
    """What was given, by its keys, as far as it is a dictionary."""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    sizes: tuple[WrongSize, ...] = ()
    wanted: int = 0
    """How many keys the model has."""
    prefix: str = ""
    """What stands before each of the model's keys in what was given, where that is the difference."""
    own_prefix: str = ""
    """What stands before each key of what was given in the model's own, likewise."""
    not_tensors: tuple[Entry, ...] = ()
    saved_groups: Groups | None = None
    own_groups: Groups | None = None
    saved_kind: str = ""
    """The class of optimizer that the saved settings are of."""
    lacks: tuple[str, ...] = ()
    """Settings that an optimizer of this class has and that the saved groups have not."""
    built: Site | None = None
    """Where the model or the optimizer was built."""
    saved: Site | None = None
    """The only `torch.save` in the user's file."""
    loaded: Site | None = None
    """Where what was given was loaded."""

"""Which operation of one step is which of another: by module and name, then by name, then by module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tensorcheck.comparing.aligning import Pair, align_by
from tensorcheck.elementwise import plain_name
from tensorcheck.trace import Operation, Trace

Renames = Mapping[str, str]
"""The path that a module has in the right run, by its path in the left one, where the two differ."""


@dataclass(frozen=True, slots=True)
class Matching:
    """The operations of two steps side by side."""

    pairs: tuple[Pair, ...]
    renames: Renames


def match(left: Trace, right: Trace) -> Matching:
    """Match two steps.

    >>> step = Trace(0, (Operation("relu", "act", "ReLU", None, (), ()),))
    >>> match(step, step).pairs
    ((0, 0),)
    """
    renames = _renames(left, right)
    ours = [(operation, renamed(operation.module, renames)) for operation in left.operations]
    theirs = [(operation, operation.module) for operation in right.operations]
    pairs = align_by(ours, theirs, _by_both, lambda each: plain_name(each[0]), lambda each: each[1])
    return Matching(tuple(pairs), renames)


def _by_both(each: tuple[Operation, str]) -> tuple[str, str]:
    return each[1], plain_name(each[0])


def renamed(path: str, renames: Renames) -> str:
    """The path in the right run of a module of the left one.

    >>> renamed("fc.0", {"fc.0": "head.0"}), renamed("conv", {})
    ('head.0', 'conv')
    """
    return renames.get(path, path)


def renamed_parameter(name: str, renames: Renames) -> str:
    """The same for what a module holds.

    >>> renamed_parameter("fc.weight", {"fc": "head"})
    'head.weight'
    """
    path, dot, own = name.rpartition(".")
    return f"{renamed(path, renames)}{dot}{own}"


def _renames(left: Trace, right: Trace) -> Renames:
    """Modules that stand in the same place, are of the same class, and have a path that the other run does not have."""
    ours, theirs = list(_modules(left)), list(_modules(right))
    known, others = {path for path, _ in ours}, {path for path, _ in theirs}
    pairs = align_by(ours, theirs, lambda module: module, lambda module: module[1])
    found = ((ours[one][0], theirs[two][0]) for one, two in pairs if one is not None and two is not None)
    return {one: two for one, two in found if one != two and one not in others and two not in known}


def _modules(trace: Trace) -> Iterator[tuple[str, str]]:
    """The path and class of each module, in the order of their first operations."""
    yield from dict.fromkeys((operation.module, operation.kind) for operation in trace.operations if operation.module)


def shortened(renames: Renames) -> Sequence[tuple[str, str]]:
    """The renames without what follows from those of a module further out.

    >>> shortened({"encoder.0.conv": "enc.0.conv", "encoder.1": "enc.1"})
    [('encoder', 'enc')]
    """
    return list(dict.fromkeys(_outermost(one.split("."), two.split(".")) for one, two in renames.items()))


def _outermost(one: Sequence[str], two: Sequence[str]) -> tuple[str, str]:
    while len(one) > 1 and len(two) > 1 and one[-1] == two[-1]:
        one, two = one[:-1], two[:-1]
    return ".".join(one), ".".join(two)

"""Where a tensor lost its gradient, as far as its lineage shows: by a function, or by code that switched it off.

A target has no gradient either, and rightly so. So what is looked for first is a place behind which something is known
to have had a gradient; then one behind which something was computed that is not known.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.sites import Site

CUTTING = frozenset(
    [
        *("detach", "detach_", "data", "item", "tolist", "numpy", "tensor", "from_numpy", "array", "asarray"),
        *("argmax", "argmin", "argsort", "multinomial", "bincount", "one_hot", "nonzero", "long", "int", "bool"),
        *("gt", "lt", "gte", "lte", "ge", "le", "eq", "noteq", "ne", "greater", "less", "isclose", "logical_not"),
    ]
)
"""Functions, methods and operators that give a tensor, or a number, without a gradient."""
_MAKING = frozenset(
    ["zeros", "ones", "rand", "randn", "randint", "arange", "linspace", "full", "eye", "empty", "randperm", "load"]
)
"""Functions that make a tensor of nothing."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One place at which a gradient was lost."""

    name: str
    """How its user calls what was made there: `mask`; the expression itself where it has no name."""
    site: Site
    function: str = ""
    """What has no gradient: `detach`, `gt`; empty where gradients were switched off."""
    switch: Site | None = None
    """What had switched them off: `torch.no_grad()`."""


def cuts_of(lineage: Lineage) -> Iterator[Cut]:
    """Where a value most likely lost its gradient, the nearest place first, each line once."""
    ranks = [_rank(lineage, place) for place in range(len(lineage.ancestors))]
    seen: set[tuple[str, int]] = set()
    for place, rank in enumerate(ranks):
        cut = _cut(lineage, place) if rank and rank == max(ranks) else None
        if cut is not None and (cut.site.file, cut.site.line) not in seen:
            seen.add((cut.site.file, cut.site.line))
            yield cut


def _rank(lineage: Lineage, place: int) -> int:
    """3 where a gradient is known to be lost, 2 and 1 where it is likelier or less; 0 where none can be."""
    ancestor = lineage.ancestors[place]
    if ancestor.site is None or (ancestor.meta is not None and ancestor.meta.requires_grad):
        return 0
    if not _cuts(ancestor) and ancestor.grad_off is None:
        return 0
    behind = [lineage.ancestors[each] for each in _behind(lineage, place)]
    if any(each.meta is not None and each.meta.requires_grad for each in behind):
        return 3
    calls = any(each.step is Step.LAYER or _is_unknown_call(each) for each in behind)
    if calls or (ancestor.grad_off is not None and _computes(ancestor)):
        return 2
    return 1 if any(each.meta is None and each.value is None for each in behind) and ancestor.grad_off is None else 0


def _cuts(ancestor: Ancestor) -> bool:
    is_builtin = ancestor.site is not None and ancestor.site.code.startswith("float(")
    return ancestor.function in CUTTING or (ancestor.function == "float" and is_builtin) or _is_grad(ancestor)


def _is_grad(ancestor: Ancestor) -> bool:
    """Whether it is `torch.autograd.grad` without a graph of its own."""
    code = ancestor.site.code if ancestor.site is not None else ""
    return ancestor.function == "grad" and "autograd" in code and "create_graph=True" not in code.replace(" ", "")


def _is_unknown_call(ancestor: Ancestor) -> bool:
    return ancestor.meta is None and _computes(ancestor)


def _computes(ancestor: Ancestor) -> bool:
    return bool(ancestor.function) and ancestor.function not in CUTTING | _MAKING


def _behind(lineage: Lineage, place: int) -> list[int]:
    """All that an ancestor was made from."""
    seen: dict[int, None] = {}
    waiting = list(lineage.ancestors[place].parents)
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen[other] = None
            waiting += lineage.ancestors[other].parents
    return list(seen)


def _cut(lineage: Lineage, place: int) -> Cut | None:
    ancestor = lineage.ancestors[place]
    if ancestor.site is None:
        return None
    named = next((each for each in lineage.ancestors[:place][::-1] if _names(each, ancestor)), ancestor)
    if _cuts(ancestor):
        return Cut(named.name, ancestor.site, function="create_graph" if _is_grad(ancestor) else ancestor.function)
    return Cut(named.name, ancestor.site, switch=ancestor.grad_off)


def _names(other: Ancestor, ancestor: Ancestor) -> bool:
    """Whether the other is the name that the same statement gives."""
    return other.step is not Step.SPELLED and other.line == ancestor.line

"""TCK202."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.calls import Operand
from tensorcheck.contracts import target_form
from tensorcheck.events.backward import LossComputed
from tensorcheck.events.traced import LaterTraced, StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.broadcasts import Meeting, chance_meetings
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.knowledge.squeezing import squeezed
from tensorcheck.lineage import Lineage, Step
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import each_line_once, first_that_fits, short

Shape = tuple[int, ...]


class LossBroadcast(Rule[LossComputed | StepTraced | LaterTraced]):
    """A loss compares every prediction with every target, because their shapes broadcast.

    ## What it does
    Finds losses that compare their operands one by one (`mse_loss`, `l1_loss`, `huber_loss`, ...) and were given shapes
    that both have to grow to fit each other, such as `[32, 1]` and `[32]`, which meet as `[32, 32]`.

    ## Why it matters
    Nothing raises and the loss falls, but the model learns the mean of all targets: each prediction is compared with
    the targets of all the other samples too.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    prices = torch.rand(32)
    with tensorcheck.watch(model) as watch:
        predictions = model(torch.rand(32, 4))
        nn.functional.l1_loss(predictions, prices).backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    prices = torch.rand(32)
    with tensorcheck.watch(model) as watch:
        predictions = model(torch.rand(32, 4))
        nn.functional.l1_loss(predictions.squeeze(1), prices).backward()
    ```

    ## Limits
    Pairs that are asked for are silent: shapes of one rank, such as `[32, 1, 5]` and `[32, 5, 1]`, unless a DataLoader
    handed out the row of targets that a column of predictions meets; `reduction="none"`, and an `unsqueeze` or a `None`
    in the call. Of a loss or a metric written by hand, such as `((predictions - prices) ** 2).mean()` or
    `(predictions == labels).sum()`, the first steps and evaluations are looked at, and it is silent where a dim was put
    in by hand or where anything but one number is made of the pairs. Where one
    operand alone grows, as a single target for all samples does, it is taken to be meant.
    """

    code = "TCK202"
    name = "loss-broadcast"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: LossComputed | StepTraced | LaterTraced) -> Iterator[Finding]:
        """Compare the shapes of a loss function with the one that they meet in; of a trace, what is done by hand."""
        if isinstance(event, LossComputed):
            yield from self._by_function(event)
            return
        for meeting in chance_meetings(event.trace):
            if meeting.is_difference or meeting.is_comparison:
                yield self._by_hand(meeting)

    def _by_hand(self, meeting: Meeting) -> Finding:
        site, left, right = meeting.operation.site, meeting.left, meeting.right
        code = site.code if site is not None else meeting.operation.name
        column, row = (left, right) if meeting.column_is_left else (right, left)
        places = ((meeting.made, column), (meeting.row, row))
        what, verb = ("difference", "subtracts") if meeting.is_difference else ("comparison", "compares")
        pair = f"{list(right.shape)} from {list(left.shape)}" if meeting.is_difference else _with(left, right)
        return self.finding(
            first_that_fits(
                f"`{code}` {verb} {pair} as {list(meeting.result)}",
                f"a {what} of {list(left.shape)} and {list(right.shape)} is {list(meeting.result)}",
                f"a {what} is made of all pairs of a batch",
            ),
            label=f"{left.notation} and {right.notation}",
            expected=f"{_shape(row.shape)}    one {what} for each sample",
            got=f"{_shape(meeting.result)}    each sample is compared with all others",
            site=site,
            related=each_line_once(_made_here(places), site),
            help=squeezed(code, meeting.dim, column_is_left=meeting.column_is_left),
        )

    def _by_function(self, event: LossComputed) -> Iterator[Finding]:
        given, target = event.input.meta, event.target.meta
        met = _broadcast(given.shape, target.shape)
        if target_form(event.function) != "like the input" or met is None or met in (given.shape, target.shape):
            return
        is_column = _is_column_against_row(given.shape, target.shape)
        is_chance = is_column or _is_row_of_loader(event) or _has_dim_of_loader(event)
        if not is_chance or _is_asked_for(event):
            return
        left, right = list(given.shape), list(target.shape)
        yield self.finding(
            first_that_fits(
                f"`{event.function}` compares {left} with {right} as {'x'.join(map(str, met))}",
                f"`{event.function}` compares {left} with {right}",
                f"`{event.function}` broadcasts its input and its target to a larger shape",
            ),
            label=f"{given.notation} against {target.notation}",
            expected=f"{_expected(event)}    one target for each prediction",
            got=f"{given.notation} against {target.notation}    each prediction meets every target",
            site=event.site,
            related=_kept_dim(event)
            or made(
                event.target,
                lambda meta: len(meta.shape) == len(target.shape),
                str(right),
                ends=lambda ancestor: ancestor.function in _RESHAPING,
            ),
            help=_help(event),
        )


_RESHAPING = frozenset(
    ["unsqueeze", "squeeze", "view", "reshape", "T", "t", "transpose", "permute", "expand", "flatten", "stack"]
)
"""What settles the shape of what it gives, whatever that was before."""


def _with(left: TensorMeta, right: TensorMeta) -> str:
    return f"{list(left.shape)} with {list(right.shape)}"


def _shape(sizes: Shape) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _made_here(places: Sequence[tuple[Site | None, TensorMeta]]) -> list[Related]:
    return [Related(site, f"the {list(meta.shape)} is made here") for site, meta in places if site is not None]


def _is_column_against_row(left: Shape, right: Shape) -> bool:
    """Whether the two are the same samples, but that one has a last dim of size 1 more."""
    return left == (*right, 1) or right == (*left, 1)


def _is_row_of_loader(event: LossComputed) -> bool:
    """Whether a column of predictions meets a row that a DataLoader gave, so that no line of the loop arranged it."""
    given, target = event.input.meta, event.target.meta
    is_turned = len(given.shape) == len(target.shape) == _RANK and given.shape == target.shape[::-1]
    return is_turned and 1 in given.shape and given.requires_grad and _is_as_loaded(event.target.lineage)


def _has_dim_of_loader(event: LossComputed) -> bool:
    """Whether a DataLoader gave a dim of size 1 more, behind that of the samples: `[40, 1, 6]` for `[40, 6]`."""
    excess = _excess(event)
    return excess is not None and excess.dim == 1 and _is_as_loaded(excess.operand.lineage)


@dataclass(frozen=True, slots=True)
class _Excess:
    """The operand that has one dim of size 1 too many, and which."""

    operand: Operand
    other: Operand
    dim: int


def _excess(event: LossComputed) -> _Excess | None:
    for operand, other in ((event.input, event.target), (event.target, event.input)):
        more, fewer = operand.meta.shape, other.meta.shape
        dims = [dim for dim, size in enumerate(more) if size == 1 and more[:dim] + more[dim + 1 :] == fewer]
        if dims:
            return _Excess(operand, other, dims[-1])
    return None


def _expected(event: LossComputed) -> str:
    """The two operands as they are after the change that the help offers."""
    excess, given, target = _excess(event), event.input.meta, event.target.meta
    shape = given.shape if excess is None else excess.other.meta.shape
    left, right = (f"{meta.dtype}[{', '.join(map(str, shape))}]" for meta in (given, target))
    return f"{left} against {right}"


def _kept_dim(event: LossComputed) -> tuple[Related, ...]:
    """Where a function gave an operand the dim that is too many, because its user asked for a column."""
    excess = _excess(event)
    maker = excess.operand.lineage.maker() if excess is not None else None
    if excess is None or maker is None or maker.site is None:
        return ()
    keeps = maker.function in _KEEPING or re.search(_KEPT, maker.site.code) is not None
    what = f"`{short(maker.name)}` is {list(excess.operand.meta.shape)} from here on"
    return (Related(maker.site, what),) if keeps else ()


_KEEPING = frozenset({"gather", "take_along_dim", "chunk", "narrow"})
"""Functions that leave a dim of size 1 where one column was asked for."""
_KEPT = r"keepdims?=True"


_RANK = 2


def _is_as_loaded(lineage: Lineage) -> bool:
    """Whether a value is what a DataLoader handed out, but for its dtype and device."""
    for ancestor in lineage.way_back(lambda _: True):
        if ancestor.step is Step.LOADED:
            return True
        code = ancestor.site.code if ancestor.site is not None else ""
        if (ancestor.function and ancestor.function not in _MOVING) or any(sign in code for sign in _WITH_A_DIM):
            return False
    return False


_WITH_A_DIM = ("None", "newaxis", ":")
_MOVING = frozenset(
    ["to", "cuda", "cpu", "float", "double", "half", "bfloat16", "type", "contiguous", "detach", "clone"]
)


def _is_asked_for(event: LossComputed) -> bool:
    """Whether the user compares all pairs on purpose: keeps them all, or spells the dim that makes them meet."""
    spelled = f"{event.input.spelled} {event.target.spelled}"
    is_spelled = "unsqueeze" in spelled or "None" in spelled
    return event.reduction == "none" or (is_spelled and not _is_for_a_column(event))


def _is_for_a_column(event: LossComputed) -> bool:
    """Whether the targets alone were given a dim, for predictions that had one until it was squeezed away.

    A row of predictions that meets its own targets as a column is no table of pairs that anybody wants; PyTorch warns
    of the sizes as well.
    """
    given, target = event.input, event.target
    names = {*re.findall(r"[A-Za-z_]\w*", given.spelled)} & {*re.findall(r"[A-Za-z_]\w*", target.spelled)}
    is_column = target.meta.shape == (*given.meta.shape, 1) and len(given.meta.shape) == 1
    if not is_column or names - _COMMON or not given.meta.requires_grad:
        return False
    was_squeezed = re.search(_SQUEEZED, given.spelled) is not None or any(
        ancestor.site is not None and re.search(_SQUEEZED, ancestor.site.code)
        for ancestor in given.lineage.way_back(lambda _: True)
    )
    return was_squeezed or any(each.step is Step.LOADED for each in target.lineage.way_back(lambda _: True))


_SQUEEZED = r"\.(squeeze|flatten|ravel)\(|\.(view|reshape)\(-1\)|\[:, 0\]|\[\.\.\., 0\]"
_COMMON = frozenset(
    {"self", "unsqueeze", "squeeze", "view", "reshape", "None", "float", "model", "batch", "torch", "dim"}
)
"""Names that say nothing of which tensor is meant."""


def _broadcast(left: Shape, right: Shape) -> Shape | None:
    """The shape that two shapes meet in, or None where they do not fit."""
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    sizes = [(a if b == 1 else b, a == b or 1 in (a, b)) for a, b in pairs]
    return tuple(size for size, _ in sizes) if all(fits for _, fits in sizes) else None


def _help(event: LossComputed) -> str:
    """Squeeze the operand that has one dim of size 1 too many."""
    excess = _excess(event)
    site = excess.operand.site if excess is not None else None
    if excess is not None and site is not None and event.site is not None:
        bare = re.sub(r"\.unsqueeze\((dim=)?-?1\)$", "", site.code)
        if bare != site.code:
            return event.site.code.replace(site.code, bare, 1)
        return event.site.code.replace(site.code, f"{enclosed(site.code)}.squeeze({excess.dim})", 1)
    return _turned(event.target, event.site) if event.target.meta.shape == event.input.meta.shape[::-1] else ""


def _turned(target: Operand, site: Site | None) -> str:
    """The loss with its row of targets made a column."""
    if target.site is None or site is None:
        return ""
    return site.code.replace(target.site.code, f"{enclosed(target.site.code)}.T", 1)

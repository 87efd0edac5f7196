"""Which input of a failed call has too few or too many dims, or has them in another order than the call takes them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.contracts import LayerContract, contract_of
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.batch_first import batch_first_fix
from tensorcheck.knowledge.misfits import lacks_channels, misfit_of, order_of
from tensorcheck.knowledge.reshaping import Shape, enclosed, refits, reordered
from tensorcheck.knowledge.respelling import with_argument
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.wording import counted, expectation, title, titled


@dataclass(frozen=True, slots=True)
class Misrank:
    """An input whose dims are too few, too many or misplaced, as a rule says it."""

    headlines: tuple[str, ...]
    """From the fullest to the shortest."""
    wanted: str
    operand: Operand | None
    beside: Operand | None = None
    """What its dims have to go with."""
    fixes: tuple[Fix, ...] = ()
    note: str = ""
    help: str = ""


def misrank_of(call: FailedCall, message: str, site: Site | None = None) -> Misrank | None:
    """What is wrong with the dims of a layer's input; or of an operation's, as far as the message tells it."""
    layer = call.module
    if layer is not None and layer.layer:
        found = (read(call, layer) for read in (_of_layer, _of_another_input, _of_batch_first, _of_order))
        return next((misrank for misrank in found if misrank is not None), None)
    return _told(call, message, site) if call.kind == "operation" else None


def _of_layer(call: FailedCall, layer: ModuleMeta) -> Misrank | None:
    """A layer's first input, by its contract."""
    given, contract = call.first, contract_of(layer)
    if given is None:
        return None
    ranks, least = (contract.ranks, contract.least_rank(layer)) if contract is not None else ((), 0)
    ranks = _by_mode(layer) if layer.layer == "Upsample" else ranks
    rank, is_video = len(given.meta.shape), min(ranks, default=0) >= _MANY
    if layer.layer == "EmbeddingBag" and rank == 1 and call.operand("offsets") is None:
        return _without_offsets(layer, given)
    if rank in ranks or (not ranks and rank >= least):
        return None
    takes = _either(ranks) if ranks else f"at least {least}"
    dtype = given.meta.dtype
    return Misrank(
        tuple(f"{name} got {counted(rank, 'dim')} but takes {takes}" for name in (titled(layer), title(layer))),
        expectation(_form(contract, layer, dtype, ranks or (least,)), layer),
        given,
        fixes=tuple(_fixes(given, _takes(contract, layer, ranks, least), is_video=is_video)),
        note=_sibling(layer, rank),
    )


def _fixes(given: Operand, fits: Callable[[Shape], bool], *, is_video: bool) -> Iterator[Fix]:
    """Another number of dims; of images in time, those of all times as one batch."""
    yield from refits(given, fits, flattening=False)
    if is_video:
        yield from (fix for fix in refits(given, fits) if fix.help.endswith(".flatten(0, 1)"))


def _without_offsets(layer: ModuleMeta, given: Operand) -> Misrank:
    return Misrank(
        (f"{titled(layer)} got 1 dim and no `offsets` but takes 2, or 1 with offsets",),
        expectation(f"{given.meta.dtype}[batch, bag]", layer),
        given,
        fixes=tuple(refits(given, lambda shape: shape in ((1, *given.meta.shape), (*given.meta.shape, 1)))),
    )


def _by_mode(layer: ModuleMeta) -> tuple[int, ...]:
    mode = str(layer.settings.get("mode"))
    return {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}.get(mode, (3, 4, 5))


def _either(ranks: tuple[int, ...]) -> str:
    return " or ".join(map(str, ranks)) if len(ranks) < _MANY else f"{ranks[0]} to {ranks[-1]}"


_MANY = 3


def _form(contract: LayerContract | None, layer: ModuleMeta, dtype: str, ranks: tuple[int, ...]) -> str:
    """The input as it should be."""
    if contract is not None and (contract.ranks or contract.trailing):
        return contract.forms(layer, dtype)
    if contract is not None and contract.sizes:
        return contract.expectation(layer, dtype)
    names = ("batch", "channels", "d", "h", "w")
    words = {3: ("batch", "channels", "length"), 4: ("batch", "channels", "h", "w")}
    dims = words.get(ranks[-1], names[: ranks[-1]]) if layer.layer == "Upsample" else ("*",) * ranks[-1]
    return f"{dtype}[{', '.join(dims)}]"


def _takes(
    contract: LayerContract | None, layer: ModuleMeta, ranks: tuple[int, ...], least: int
) -> Callable[[Shape], bool]:
    """Whether the layer would take a shape."""
    sizes = contract.sizes if contract is not None else ()

    def fits(shape: Shape) -> bool:
        is_ranked = len(shape) in ranks if ranks else len(shape) >= least
        dims = [(size.dim, layer.settings.get(size.setting)) for size in sizes]
        return is_ranked and all(
            not isinstance(wanted, int) or (-len(shape) <= dim < len(shape) and shape[dim] == wanted)
            for dim, wanted in dims
        )

    return fits


def _sibling(layer: ModuleMeta, rank: int) -> str:
    """The layer of the same family that takes as many dims: `BatchNorm2d` for images."""
    stem, dims = layer.layer[:-2], layer.layer[-2:-1]
    if not layer.layer.endswith("d") or not dims.isdigit():
        return ""
    kinds = [ModuleMeta("", f"{stem}{count}d", is_builtin=True) for count in range(1, _MANY + 1) if str(count) != dims]
    ranked = [(kind.kind, contract) for kind in kinds if (contract := contract_of(kind)) is not None]
    fitting = [kind for kind, contract in ranked if max(contract.ranks, default=0) == rank]
    return f"{fitting[0]} takes {rank} dims" if fitting else ""


def _of_another_input(call: FailedCall, layer: ModuleMeta) -> Misrank | None:
    """Inputs that must have as many dims as the first: hidden states, keys and values, the second of a pair."""
    first = call.first
    for operand in call.operands[1:]:
        if first is None or operand.name not in _LIKE_FIRST.get(layer.layer, ()):
            continue
        rank, wanted = len(operand.meta.shape), len(first.meta.shape)
        if rank != wanted:
            name = _called(operand)
            return Misrank(
                (
                    f"{titled(layer)} got {counted(rank, 'dim')} in {name} but {wanted} in {_called(first)}",
                    f"{titled(layer)} got {rank} and {wanted} dims",
                ),
                f"{wanted} dims, as {first.meta.notation} has",
                operand,
                beside=first,
                fixes=tuple(_like_first(call, operand, first)),
            )
    return None


def _called(operand: Operand) -> str:
    return f"`{operand.handed or operand.name}`"


def _like_first(call: FailedCall, operand: Operand, first: Operand) -> Iterator[Fix]:
    """The one with as many dims as the other; what is given twice is changed twice."""
    rank, wanted = len(operand.meta.shape), len(first.meta.shape)
    same = [each for each in call.operands if each.spelled == operand.spelled and each is not first]
    for fix in refits(operand, lambda shape: len(shape) == wanted, flattening=False):
        edits = (
            replace(edit, operand=each.name) for edit in fix.edits for each in same if isinstance(edit, ChangeOperand)
        )
        yield Fix(fix.help, tuple(edits))
    yield from refits(first, lambda shape: len(shape) == rank, flattening=False)


_HIDDEN = ("hx", "hx[0]", "hx[1]")
_LIKE_FIRST = {
    **dict.fromkeys(("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), _HIDDEN),
    "MultiheadAttention": ("key", "value"),
    "Transformer": ("tgt",),
    "Bilinear": ("input2",),
}


def _of_batch_first(call: FailedCall, layer: ModuleMeta) -> Misrank | None:
    """Two inputs that have one batch, if the layer took the other dim for it."""
    first, is_first = call.first, layer.settings.get("batch_first")
    for operand in call.operands[1:]:
        partner = operand.name in _LIKE_FIRST.get(layer.layer, ())
        if first is None or not partner or not isinstance(is_first, bool) or len(first.meta.shape) != _MANY:
            continue
        dim = 0 if is_first else 1
        is_state = operand.name in _HIDDEN
        wanted, came = first.meta.shape[dim], operand.meta.shape[1 if is_state else dim]
        other = operand.meta.shape[1] if is_state else operand.meta.shape[1 - dim]
        if wanted != came and first.meta.shape[1 - dim] == other:
            return _batch_elsewhere(call, layer, first, operand, (dim, wanted, came))
    return None


def _batch_elsewhere(
    call: FailedCall, layer: ModuleMeta, first: Operand, operand: Operand, found: tuple[int, int, int]
) -> Misrank:
    dim, wanted, came = found
    names = f"{wanted} in `{first.handed or first.name}`, {came} in `{operand.handed or operand.name}`"
    return Misrank(
        (f"{titled(layer)} takes dim {dim} for the batch: {names}",),
        expectation(f"[{'seq, batch' if dim else 'batch, seq'}, features]    batch_first={dim == 0}", layer),
        first,
        beside=operand,
        fixes=(
            batch_first_fix(call, layer, is_on=dim == 1),
            *refits(first, lambda shape: shape == (*first.meta.shape[1::-1], *first.meta.shape[2:])),
        ),
        note=f"likely: the batch is dim {1 - dim}, which `batch_first={dim == 1}` says",
    )


def _of_order(call: FailedCall, layer: ModuleMeta) -> Misrank | None:
    """The size that the layer wants, in another dim than it looks for it."""
    misfit, contract = misfit_of(call), contract_of(layer)
    if misfit is None or contract is None:
        return None
    order = order_of(misfit, layer)
    unit = "features" if contract.sizes and contract.sizes[0].dim == -1 else "channels"
    if order is not None:
        place = order[misfit.dim]
        headline = f"{titled(layer)} got its {misfit.wanted} {unit} in dim {place}, not in dim {misfit.dim}"
    elif lacks_channels(misfit, contract):
        headline = f"{titled(layer)} got {len(misfit.operand.meta.shape)} dims and none for its 1 channel"
    else:
        return None
    given = misfit.operand
    shape = given.meta.shape
    wanted = tuple(shape[dim] for dim in order) if order is not None else (shape[0], 1, *shape[1:])
    fixes = reordered(given, order) if order is not None else refits(given, lambda changed: changed == wanted)
    form = f"{given.meta.dtype}{list(wanted)}"
    return Misrank((headline,), expectation(form, layer), given, fixes=tuple(fixes))


@dataclass(frozen=True, slots=True)
class _Told:
    pattern: str
    takes: str
    """What stands after "takes" in the headline, with the groups of the pattern."""
    least: int = 0
    """The rank to change to, where the message has no number for it."""


_RANK_MESSAGES = (
    _Told(r"t\(\) expects a tensor with <= (?P<to>2) dimensions, but self is (?P<came>\d)D", "at most 2"),
    _Told(r"input\.dim\(\) = (?P<came>\d+) is not equal to len\(dims\) = (?P<to>\d+)", "an order of {to}"),
    _Told(r"cdist only supports at least (?P<to>2)D tensors, X\d got: (?P<came>\d)D", "at least 2"),
    _Told(r"Got (?P<came>\d)D input, but \w+ mode needs (?P<to>\d)D input", "{to}"),
    _Told(r"Only 3D, 4D and 5D input Tensors supported \(got (?P<came>\d)D\)", "3 to 5", least=4),
    _Told(r"Expected (?P<from>\d)D(?: \(unbatched\))? or (?P<to>\d)D .*?input to \w+, but got", "{from} or {to}"),
    _Told(r"[Ee]xpected (?P<from>\d)D or (?P<to>\d)D (?:\(batch mode\) )?(?:tensor|input)", "{from} or {to}"),
    _Told(r"non-empty (?P<from>\d)D or (?P<to>\d)D \(batch mode\) tensor expected", "{from} or {to}"),
    _Told(r"Expected (?P<from>\d) to (?P<to>\d) dimensions, but got (?P<came>\d)-dimensional", "{from} or {to}"),
    _Told(r"Expected at least (?P<to>\d) dimensions for input tensor but received (?P<came>\d)", "at least {to}"),
)
_OUT_OF_RANGE = re.compile(r"Dimension out of range \(expected to be in range of \[-?\d+, (-?\d+)\], but got (-?\d+)\)")
_SPATIAL = re.compile(r"input with spatial dimensions of (\[[\d, ]*\]) and output size of (\([\d, ]*\))")
_JOINING = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "default_collate"})


def _told(call: FailedCall, message: str, site: Site | None) -> Misrank | None:
    """The operations whose message tells the number of dims."""
    if (found := _SPATIAL.search(message)) is not None:
        return _spatial(call, found)
    if (found := _OUT_OF_RANGE.search(message)) is not None:
        return _out_of_range(call, int(found[1]) + 1, int(found[2]), site)
    for told in _RANK_MESSAGES:
        if (found := re.search(told.pattern, message, re.DOTALL)) is not None:
            facts = found.groupdict()
            given = _of_rank(call, facts.get("came"))
            to = told.least or int(facts["to"])
            takes = told.takes.format(**facts)
            return _of_operation(call, given, takes, to)
    return None


def _of_rank(call: FailedCall, rank: str | None) -> Operand | None:
    """The first operand with so many dims."""
    ranked = [operand for operand in call.operands if rank is None or len(operand.meta.shape) == int(rank)]
    return next(iter(ranked), None)


def _of_operation(call: FailedCall, given: Operand | None, takes: str, to: int) -> Misrank | None:
    if given is None:
        return None
    return Misrank(
        (f"`{call.function}` got {counted(len(given.meta.shape), 'dim')} but takes {takes}",),
        f"{takes} dims",
        given,
        fixes=tuple(_by_last(call, refits(given, lambda shape: len(shape) == to, flattening=False)))
        if call.function != "t"
        else (),
        help=f"{enclosed(given.spelled)}.mT" if call.function == "t" and given.site is not None else "",
    )


def _by_last(call: FailedCall, fixes: Iterator[Fix]) -> list[Fix]:
    """What `permute` misses is likelier the last dim, of an image's channels, than the first."""
    return sorted(fixes, key=lambda fix: fix.help, reverse=True) if call.function == "permute" else list(fixes)


def _out_of_range(call: FailedCall, rank: int, dim: int, site: Site | None) -> Misrank | None:
    """A dim that the tensor does not have; `unsqueeze` counts the one that it adds."""
    given = _of_rank(call, str(rank)) or call.first
    if given is None or call.function in _JOINING:
        return None
    added = 1 if call.function == "unsqueeze" else 0
    wanted = (dim + 1 if dim >= 0 else -dim) - added
    chosen = next((setting for setting in call.settings if setting.value == dim), None)
    last = [] if chosen is None or call.function in _OF_TWO_DIMS else [_at(chosen, rank - 1, site)]
    longer = list(refits(given, lambda shape: len(shape) == wanted, flattening=False)) if not added else []
    return Misrank(
        (f"`{call.function}` works on dim {dim} but got {counted(rank - added, 'dim')}",),
        f"at least {wanted} dims",
        given,
        fixes=(*longer, *last) if rank <= 1 else (*last, *longer),
    )


_OF_TWO_DIMS = ("transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "permute", "flatten")


def _at(chosen: Setting, dim: int, site: Site | None) -> Fix:
    return Fix(with_argument(site, chosen, chosen.name, str(dim)), (ChangeSetting(chosen.name, dim),))


def _spatial(call: FailedCall, found: re.Match[str]) -> Misrank | None:
    """A size for another number of dims than the image has."""
    given, size = call.first, call.setting("size") or call.setting("1")
    if given is None:
        return None
    sizes = found[1].count(",") + 1
    number = size.value[0] if size is not None and isinstance(size.value, tuple) and size.value else None
    full = (number,) * sizes
    return Misrank(
        (f"`{call.function}` got {found[2]} as the size of {counted(sizes, 'dim')}",),
        f"{counted(sizes, 'number')}, one for each of {found[1]}",
        given,
        fixes=(Fix(f"size={full}", (ChangeSetting(size.name, full),)),) if size is not None and number else (),
    )

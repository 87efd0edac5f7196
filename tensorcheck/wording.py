"""How rules say what they found: the few phrases that more than one of them needs."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.events import ModuleCalled
from tensorcheck.findings import Related
from tensorcheck.lineage import Ancestor, Guilty, Lineage, Step
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta

HEADLINE = 80
"""Characters that a headline may have."""
_ROOM = 30
"""Characters of a headline that a module's path may take, so that two numbers and a verb still fit beside it."""


def title(module: ModuleMeta) -> str:
    """A module's path in backquotes; of a long path, the end.

    >>> title(ModuleMeta("head", "Linear")), title(ModuleMeta("encoder.layers.11.attention.output.dense", "Linear"))
    ('`head`', '`….11.attention.output.dense`')
    """
    name = module.path or module.kind
    parts = name.split(".")
    while len(name) > _ROOM and len(parts) > 1:
        parts = parts[1:]
        name = ".".join(["…", *parts])
    return f"`{name if len(name) <= _ROOM else f'…{name[1 - _ROOM :]}'}`"


def titled(module: ModuleMeta) -> str:
    """The title of a layer, with its class where its path ends with a number and so says nothing of it.

    >>> titled(ModuleMeta("norm", "BatchNorm1d")), titled(ModuleMeta("1", "BatchNorm1d"))
    ('`norm`', '`1` (BatchNorm1d)')
    """
    is_numbered = module.path.rpartition(".")[2].isdigit()
    return f"{title(module)} ({module.kind})" if is_numbered else title(module)


def first_that_fits(*headlines: str) -> str:
    """The first of several headlines, from the fullest to the shortest, that is no longer than a headline may be.

    >>> first_that_fits("x" * 81, "`mse_loss` broadcasts")
    '`mse_loss` broadcasts'
    """
    return next((headline for headline in headlines if len(headline) <= HEADLINE), headlines[-1])


def label_for(headline: str, *labels: str) -> str:
    """The first of several labels, from the fullest to the shortest, that is shorter than its headline.

    >>> label_for("`fc` got float64", "float64[8, 4] cpu, grad", "float64[8, 4]")
    'float64[8, 4]'
    """
    return next((label for label in labels if len(label) < len(headline)), "")


def expectation(spec: str, module: ModuleMeta) -> str:
    """What a layer wants and what made it so: `float[*, 784]    from self.head = nn.Linear(784, 10), m.py:9`."""
    made = module.definition
    return spec if made is None else f"{spec}    from {made.code}, {made.file}:{made.line}"


def moved(code: str, device: str, beside: str) -> str:
    """A tensor's expression, moved to a device; by another tensor's name where that one is short enough to repeat.

    >>> moved("labels", "cuda:0", beside="logits"), moved("labels", "cuda:0", beside="model(x)")
    ('labels.to(logits.device)', 'labels.to("cuda:0")')
    """
    is_name = all(part.isidentifier() for part in beside.split("."))
    return f"{code}.to({beside}.device)" if is_name else f'{code}.to("{device}")'


def how_it_got_here(calls: Sequence[ModuleCalled], most: int = 5) -> tuple[str, ...]:
    """The last layers that returned before, one aligned line each: `conv  Conv2d -> float32[32, 16, 28, 28]`."""
    layers = [call for call in calls if call.outputs and call.module.is_builtin and not _is_container(call.module)]
    rows = [(call.module.path, call.module.kind, call.outputs[0].meta.notation) for call in layers[-most:]]
    paths = max((len(path) for path, _, _ in rows), default=0)
    kinds = max((len(kind) for _, kind, _ in rows), default=0)
    return tuple(f"{path:<{paths}}  {kind:<{kinds}} -> {meta}" for path, kind, meta in rows)


def _is_container(module: ModuleMeta) -> bool:
    return module.kind in ("Sequential", "ModuleList", "ModuleDict")


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in backquotes, the first few of them.

    >>> listed(["a.weight", "a.bias", "b.weight"], most=2)
    '`a.weight`, `a.bias` and 1 more'
    """
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "parameter"), counted(2, "parameter")
    ('1 parameter', '2 parameters')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def weight_of(module: ModuleMeta) -> TensorMeta | None:
    """The metadata of a layer's weight, or of the first of its floating-point parameters and buffers."""
    floating = [tensor for tensor in (*module.parameters, *module.buffers) if tensor.meta.is_floating_point]
    ranked: list[NamedTensor] = sorted(floating, key=lambda tensor: tensor.name != "weight")
    return ranked[0].meta if ranked else None


def first_input(tensors: Sequence[NamedTensor]) -> NamedTensor | None:
    """The tensor that a layer works on: its first argument."""
    return tensors[0] if tensors else None


def short(code: str, most: int = _ROOM) -> str:
    """An expression as a headline has room for it.

    >>> short("labels"), short("self.encoder(images).flatten(1).mean(0)", most=20)
    ('labels', 'self.encoder(images…')
    """
    return code if len(code) <= most else f"{code[: most - 1]}…"


def subject(call: FailedCall, site: Site | None) -> str:
    """What failed, in backquotes: a layer's path, a function's name, or an operator's sign where `site` has that.

    >>> subject(FailedCall("matmul", "operation"), Site("train.py", 4, code="rows @ self.weight"))
    '`@`'
    """
    if call.module is not None:
        return titled(call.module)
    code = site.code if site is not None else ""
    if call.function in _SIGNS and code and f"{call.function}(" not in code:
        return f"`{_SIGNS[call.function]}`"
    written = re.match(r"(?:\w+\.)*(\w+)\(", code)
    return f"`{written[1] if written is not None and call.function.endswith(written[1]) else call.function}`"


_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "neg": "-",
    "invert": "~",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}


def floored(code: str) -> str:
    """The same number as an integer: with `//` where the code is one division.

    >>> floored("len(rows) / 2"), floored("hidden")
    ('len(rows) // 2', 'int(hidden)')
    """
    return code.replace(" / ", " // ") if code.count("/") == 1 and " / " in code else f"int({code})"


def with_setting(call: FailedCall, layer: ModuleMeta, setting: str, value: object) -> str | None:
    """The line that built a layer, with one of its settings changed; None where that can't be told from its text."""
    if layer.definition is None:
        return None
    code, old = layer.definition.code, layer.settings.get(setting)
    lineage = call.made.get(setting)
    spelled = lineage.ancestors[0].name if lineage is not None and lineage.ancestors else str(old)
    if code.count(spelled) == 1 and not spelled.isdigit():
        return code.replace(spelled, str(value))
    is_plain = isinstance(old, int) and isinstance(value, int)
    return replaced_number(code, old, value) if is_plain and spelled == str(old) else None


def each_line_once(places: Sequence[Related], shown: Site | None) -> tuple[Related, ...]:
    """Related places without those of a line that an earlier one, or the finding itself, shows.

    >>> line = Site("train.py", 4, code="loss.backward()")
    >>> each_line_once([Related(line, "backward"), Related(line, "again")], None)[0].note
    'backward'
    """
    seen = {(shown.file, shown.line)} if shown is not None else set()
    kept = []
    for place in places:
        line = (place.site.file, place.site.line)
        if line not in seen:
            seen.add(line)
            kept.append(place)
    return tuple(kept)


def replaced_number(code: str, old: object, new: object) -> str | None:
    """The code with one number changed; None where that number does not stand there exactly once.

    >>> replaced_number("self.head = nn.Linear(784, 10)", 784, 3136)
    'self.head = nn.Linear(3136, 10)'
    """
    changed, times = re.subn(rf"(?<![\\w.]){old}(?![\\w.])", str(new), code)
    return changed if times == 1 else None


MAKERS = frozenset(
    [
        "Tensor",
        "FloatTensor",
        "LongTensor",
        "IntTensor",
        "tensor",
        "as_tensor",
        "one_hot",
        "argmax",
        "argmin",
        "array",
        "astype",
        "nonzero",
        "bincount",
        "topk",
        "multinomial",
    ]
)
"""Functions that settle dtype and device of what they give, whatever they were given."""


def made(
    operand: Operand | Setting,
    guilty: Guilty,
    what: str,
    *,
    makers: Collection[str] = MAKERS,
    ends: Callable[[Ancestor], object] = lambda _: False,
) -> tuple[Related, ...]:
    """Where an operand came from, back to the place where it was first guilty: at most three places, the root last.

    `what` says what it is guilty of, in the words of a reader: `float64`, `on meta`, `[64, 1]`. A root whose metadata
    is not known is likely, no more. `ends` knows an ancestor at which the way ends. A mistake in the values may be
    older than the tensor that holds them: then no function is its maker, and `makers` is empty.

    >>> from tensorcheck.sites import Site
    >>> meta = TensorMeta((4,), "float64", "cpu")
    >>> table = Ancestor(Step.ASSIGNED, "table", Site("train.py", 4, code="np.ones(4)"), meta)
    >>> rows = Ancestor(Step.SPELLED, "table", Site("train.py", 9, code="table"), meta, parents=(1,))
    >>> operand = Operand("input", meta, rows.site, Lineage((rows, table)))
    >>> [related.note for related in made(operand, lambda meta: meta.dtype == "float64", "float64")]
    ['`table` is float64 from here on']
    """
    is_shape = what.startswith("[")
    whole = _up_to(operand.lineage.way_back(guilty, makers), ends)
    way = [each for each in (_up_to_layer(whole, operand.lineage) if is_shape else whole) if each.site is not None]
    seen = {(operand.site.file, operand.site.line)} if operand.site is not None else set()
    places: list[Ancestor] = []
    for ancestor in way:
        if ancestor.step is not Step.SPELLED and ancestor.line is not None and ancestor.line not in seen:
            seen.add(ancestor.line)
            places.append(ancestor)
    is_of_dataset = any(place.step is Step.SAMPLE for place in places)
    is_told = not (is_shape and is_of_dataset and places[-1].meta is None)  # a sample has not the shape of its batch
    shown = tuple(_related(place, what, is_root=is_told and place is places[-1]) for place in _fewest(places))
    return (*shown, *built(operand, seen)) if is_of_dataset else shown


def device_was_set(ancestor: Ancestor) -> bool:
    """Whether it was made where a `with torch.device(...)` says what device is meant.

    >>> device_was_set(Ancestor(Step.ASSIGNED, "rows", None))
    False
    """
    return ancestor.device_set is not None


_HANDED_ON = (Step.ARGUMENT, Step.LOADED, Step.COLLATED, Step.SAMPLE)
"""Steps that change nothing but, of a sample, the dim of the batch."""


def _up_to_layer(way: Iterable[Ancestor], lineage: Lineage) -> Iterator[Ancestor]:
    """The way to the last layer on it, which gives another shape than it is given, and beyond it what is known."""
    is_beyond = False
    for ancestor in way:
        if is_beyond and ancestor.meta is None and ancestor.step not in _HANDED_ON:
            return
        yield ancestor
        is_beyond |= any(lineage.ancestors[parent].step is Step.LAYER for parent in ancestor.parents)


def _up_to(way: Iterable[Ancestor], ends: Callable[[Ancestor], object]) -> Iterator[Ancestor]:
    for ancestor in way:
        yield ancestor
        if ends(ancestor):
            return


def built(operand: Operand | Setting, seen: Collection[tuple[str, int]] = ()) -> Iterator[Related]:
    """Where the dataset or else the DataLoader was built that an operand came out of.

    >>> list(built(Operand("input", TensorMeta((4,), "float64", "cpu"))))
    []
    """
    places = [place for place in operand.lineage.built() if place.line is not None and place.line not in seen]
    for place in places[:1]:
        if place.site is not None:
            yield Related(place.site, f"`{place.name}` is built here")


def written(lineage: Lineage | None, number: object) -> tuple[Related, ...]:
    """Where a number was written that a layer was built with, or that a call was given: the place itself.

    >>> from tensorcheck.sites import Site
    >>> line = Site("model.py", 7, code="11", source="    inputs: int = 11")
    >>> width = Ancestor(Step.ATTRIBUTE, "cfg.inputs", line, value=11)
    >>> [related.note for related in written(Lineage((width,)), 11)]
    ['`cfg.inputs` is 11 from here']
    """
    equal = [each for each in lineage.ancestors if each.value == number] if lineage is not None else []
    places = [each for each in equal if each.step is not Step.SPELLED and each.site is not None]
    return tuple(
        Related(place.site, f"`{place.name}` is {number} from here") for place in places[-1:] if place.site is not None
    )


def settled(call: FailedCall, layer: ModuleMeta, setting: str) -> tuple[Related, ...]:
    """Where a layer's setting was written; where it stands in the line that built the layer, that line."""
    places = written(call.made.get(setting), layer.settings.get(setting))
    if places or layer.definition is None:
        return places
    return (Related(layer.definition, f"{title(layer)} is built here"),)


def within(modules: Sequence[ModuleMeta]) -> str:
    """The innermost module that was running, as a finding about an operation within it names it.

    >>> within([ModuleMeta("", "Net"), ModuleMeta("layers.0.attention", "Attention")]), within([])
    ('    in `layers.0.attention` (Attention)', '')
    """
    inner = modules[-1] if modules else None
    return f"    in {inner}" if inner is not None and inner.path else ""


def _fewest(places: Sequence[Ancestor]) -> list[Ancestor]:
    """The nearest, the dataset's or else the last before the root, and the root."""
    if len(places) <= _PLACES:
        return list(places)
    between = [place for place in places[1:-1] if place.step in (Step.SAMPLE, Step.COLLATED)] or places[-2:-1]
    return [places[0], between[0], places[-1]]


_PLACES = 3
_NOTES = {
    Step.ARGUMENT: "`{}` is handed over here",
    Step.RETURNED: "`{}` is returned here",
    Step.LOADED: "`{}` comes out of the DataLoader here",
    Step.SAMPLE: "the dataset hands `{}` out here",
    Step.COLLATED: "the collate function hands `{}` out here",
}


def _related(place: Ancestor, what: str, *, is_root: bool) -> Related:
    name = place.name if len(place.name) <= _ROOM else f"{place.name[: _ROOM - 1]}…"
    doubt = "likely: " if place.meta is None and place.value is None else ""
    is_other = what.startswith("[") and place.meta is not None and str(list(place.meta.shape)) != what
    what = str(list(place.meta.shape)) if is_other and place.meta is not None else what
    root = f"{doubt}`{name}` is {what} from here on"
    note = root if is_root else _NOTES.get(place.step, "`{}` is made here").format(name)
    assert place.site is not None  # noqa: S101 - those without a site were left out
    return Related(place.site, note)

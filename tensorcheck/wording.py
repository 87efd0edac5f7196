"""How rules say what they found: the few phrases that more than one of them needs."""

import re
from collections.abc import Sequence

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.findings import Related
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


def labels_of(given: Operand) -> tuple[str, str]:
    """What a tensor is, fully and shortly; of one that the underlined expression does not spell, that it is inside.

    >>> labels_of(Operand("input", TensorMeta((8, 4), "float32", "cpu")))
    ('inside: float32[8, 4] cpu', 'inside: float32[8, 4]')
    """
    inside = "" if given.site is not None else "inside: "
    return f"{inside}{given.meta}", f"{inside}{given.meta.notation}"


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
    layers = [call for call in calls if call.outputs and call.module.layer and not _is_container(call.module)]
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
    is_own_argument = not layer.inherits or setting in call.made  # a user's class may be built of other numbers
    if layer.definition is None or not is_own_argument:
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


def not_called(site: Site | None) -> tuple[Related, ...]:
    """A statement that names a method and does not call it.

    >>> not_called(Site("train.py", 4, code="model.train"))[0].note
    'this names the method and does not call it: the `()` is missing'
    """
    what = "this names the method and does not call it: the `()` is missing"
    return (Related(site, what),) if site is not None else ()


def replaced_number(code: str, old: object, new: object) -> str | None:
    """The code with one number changed; None where that number does not stand there exactly once.

    >>> replaced_number("self.head = nn.Linear(784, 10)", 784, 3136)
    'self.head = nn.Linear(3136, 10)'
    """
    changed, times = re.subn(rf"(?<![\\w.]){old}(?![\\w.])", str(new), code)
    return changed if times == 1 else None


def within(modules: Sequence[ModuleMeta]) -> str:
    """The innermost module that was running, as a finding about an operation within it names it.

    >>> within([ModuleMeta("", "Net"), ModuleMeta("layers.0.attention", "Attention")]), within([])
    ('    in `layers.0.attention` (Attention)', '')
    """
    inner = modules[-1] if modules else None
    return f"    in {inner}" if inner is not None and inner.path else ""

"""How rules say what they found: the few phrases that more than one of them needs."""

import re
from collections.abc import Sequence

from tensorcheck.events import FailedCall, ModuleCalled
from tensorcheck.modules import ModuleMeta
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


def first_that_fits(*headlines: str) -> str:
    """The first of several headlines, from the fullest to the shortest, that is no longer than a headline may be.

    >>> first_that_fits("x" * 81, "`mse_loss` broadcasts")
    '`mse_loss` broadcasts'
    """
    return next((headline for headline in headlines if len(headline) <= HEADLINE), headlines[-1])


def expectation(spec: str, module: ModuleMeta) -> str:
    """What a layer wants and what made it so: `float[*, 784]    from self.head = nn.Linear(784, 10), m.py:9`."""
    made = module.definition
    return spec if made is None else f"{spec}    from {made.code}, {made.file}:{made.line}"


def spelled(call: FailedCall, name: str) -> str:
    """How the user's own line writes an argument; the parameter's name where that line is not known.

    >>> spelled(FailedCall("Linear", arguments=()), "input")
    'input'
    """
    site = call.sites.get(name)
    return site.code if site is not None else name


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


def replaced_number(code: str, old: int, new: int) -> str | None:
    """The code with one number changed; None where that number does not stand there exactly once.

    >>> replaced_number("self.head = nn.Linear(784, 10)", 784, 3136)
    'self.head = nn.Linear(3136, 10)'
    """
    changed, times = re.subn(rf"(?<![\\w.]){old}(?![\\w.])", str(new), code)
    return changed if times == 1 else None

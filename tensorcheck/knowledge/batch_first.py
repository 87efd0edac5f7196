"""The setting that says which of the first two dims is the batch, changed in the line that built the layer."""

import re

from tensorcheck.calls import FailedCall
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.modules import ModuleMeta
from tensorcheck.wording import with_setting

_TAKING = re.compile(r"\b(RNN|LSTM|GRU|MultiheadAttention|Transformer|Transformer(En|De)coderLayer)\(")
"""The calls that take `batch_first`."""


def batch_first_fix(call: FailedCall, layer: ModuleMeta, *, is_on: bool) -> Fix:
    """The line that builds the layer, with the flag in it or changed; the flag alone where the line is not plain.

    >>> from tensorcheck.sites import Site
    >>> layer = ModuleMeta("rnn", "GRU", definition=Site("model.py", 4, code="self.rnn = nn.GRU(8, 16)"))
    >>> batch_first_fix(FailedCall("GRU", "layer", module=layer), layer, is_on=True).help
    'self.rnn = nn.GRU(8, 16, batch_first=True)'
    """
    line = with_setting(call, layer, "batch_first", is_on) or _with_flag(layer, is_on=is_on)
    return Fix(line, (ChangeSetting("batch_first", is_on),))


def _with_flag(layer: ModuleMeta, *, is_on: bool) -> str:
    line = layer.definition.code if layer.definition is not None else ""
    is_plain = line.endswith(")") and len(_TAKING.findall(line)) == 1 and "batch_first" not in line and is_on
    return f"{line.removesuffix(')')}, batch_first=True)" if is_plain else f"batch_first={is_on}"

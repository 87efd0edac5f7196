"""Which lengths or rows don't make a batch: those of `pack_padded_sequence`, and those of a list for `tensor`."""

import re

from tensorcheck.calls import FailedCall, Setting
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.knowledge.joinings import Joining
from tensorcheck.knowledge.respelling import with_argument
from tensorcheck.sites import Site
from tensorcheck.wording import short

_ROOM = 24
_MAKERS = frozenset({"tensor", "as_tensor", "Tensor", "FloatTensor", "LongTensor", "IntTensor", "BoolTensor"})
_COUNT = re.compile(r"Expected `len\(lengths\)` to be equal to batch_size, but got (\d+) \(batch_size=(\d+)\)")
_UNSORTED = re.compile(r"`lengths` array must be sorted in decreasing order")
_NOTHING = re.compile(r"Length of all samples has to be greater than 0")
_RAGGED = re.compile(r"expected sequence of length (\d+) at dim (\d+) \(got (\d+)\)")


def packing_of(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """What is wrong with the lengths of sequences or the rows of a list; None for any other message."""
    if call.kind != "operation":
        return None
    return _packed(call, message, site) or _listed(call, message, site)


def _packed(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """Lengths that don't go with the padded batch."""
    lengths = call.setting("lengths") or call.setting("1")
    values = lengths.value if lengths is not None and isinstance(lengths.value, tuple) else ()
    place = lengths.site if lengths is not None else site
    if (said := _COUNT.search(message)) is not None:
        return _lengths_count(call, lengths, said, site)
    if _UNSORTED.search(message):
        line = with_argument(site, None, "enforce_sorted", "False")
        return Joining(
            f"`lengths` are not in decreasing order{f': {list(values)}' if 0 < len(values) <= _FEW else ''}",
            "decreasing lengths, or enforce_sorted=False",
            str(list(values)) if values else "another order",
            setting=lengths,
            site=place,
            help=line,
            fixes=(Fix(line, (ChangeSetting("enforce_sorted", value=False),)),),
        )
    if _NOTHING.search(message):
        return Joining(
            f"`lengths` has a sequence of length {min((v for v in values if isinstance(v, int)), default=0)}",
            "at least 1 in each of lengths",
            str(list(values)) if values else "0",
            setting=lengths,
            site=place,
        )
    return None


_FEW = 8


def _lengths_count(call: FailedCall, lengths: Setting | None, said: re.Match[str], whole: Site | None) -> Joining:
    first, count = call.first, int(said[1])
    flag = call.setting("batch_first")
    is_first = flag is not None and flag.value is True
    is_other = first is not None and len(first.meta.shape) > 1 and first.meta.shape[1 if is_first else 0] == count
    return Joining(
        f"`lengths` has {count} lengths for a batch of {said[2]}",
        f"{said[2]} lengths, as many as dim {0 if is_first else 1} has",
        first.meta.notation if first is not None else said[1],
        operands=(first,) if first is not None else (),
        setting=lengths,
        site=lengths.site if lengths is not None else whole,
        fixes=(
            Fix(
                with_argument(whole, flag, "batch_first", str(not is_first)),
                (ChangeSetting("batch_first", not is_first),),
            ),
        ),
        note=f"likely: the batch is dim {1 if is_first else 0}, which `batch_first={not is_first}` says"
        if is_other
        else "",
    )


def _listed(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """A list whose rows differ in length can't become a tensor."""
    said = _RAGGED.search(message)
    if said is None or call.function not in _MAKERS:
        return None
    code = site.code if site is not None else call.function
    inner = re.search(r"\((.*)\)$", code)
    name = f"`{short(re.split(r', *(?:dtype|device|requires_grad)=', inner[1])[0], _ROOM)}`" if inner else "the list"
    return Joining(
        f"{name} has rows of {said[1]} and {said[3]} elements in dim {said[2]}",
        f"{said[1]} elements in each row",
        f"{said[3]} in one",
        site=site,
        note="`torch.nn.utils.rnn.pad_sequence` makes rows of one length of tensors",
    )

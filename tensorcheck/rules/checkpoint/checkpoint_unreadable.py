"""TCK802."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, label_for, short

_GLOBAL = re.compile(r"Unsupported (?:global: GLOBAL|class) (\S+)")
_DEVICE = re.compile(
    r"Attempting to deserialize object on (?:a|an)? ?(\S+) ?device|deserialize object on CUDA device (\d+)"
)
_CUT = re.compile(
    r"PytorchStreamReader failed|unexpected EOF|Ran out of input|Invalid magic number|invalid load key"
    r"|pickle data was truncated"
)


@dataclass(frozen=True, slots=True)
class _Reason:
    headline: str
    expected: str
    got: str
    note: str = ""
    help: str = ""


class CheckpointUnreadable(Rule[Crashed]):
    """A file can't be loaded: it was cut short, it holds more than weights, or its device is not there.

    ## What it does
    Explains the exceptions of `torch.load`: a checkpoint whose tensors lie on a device that this machine has not, a
    file with a whole model or other objects in it where weights alone are read, and a file that is no whole checkpoint.

    ## Why it matters
    The messages are long and list ways around; what is in the file, and which line to change, has to be found among
    them. A file that was cut short is most often one that was being written when the program was stopped.

    ## Example
    ```python
    import io

    file = io.BytesIO()
    torch.save(nn.Linear(4, 2).state_dict(), file)
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        torch.load(io.BytesIO(file.getvalue()[:400]))
    ```

    ## Use instead
    ```python
    import io

    file = io.BytesIO()
    torch.save(nn.Linear(4, 2).state_dict(), file)
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        torch.load(io.BytesIO(file.getvalue()))
    ```
    """

    code = "TCK802"
    name = "checkpoint-unreadable"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Tell the reason by what `torch.load` said."""
        is_load = "load" in event.functions or "_load" in event.functions
        reason = _reason(event) if is_load else None
        if reason is None:
            return
        yield self.finding(
            reason.headline,
            label=label_for(reason.headline, reason.got),
            expected=reason.expected,
            got=reason.got,
            site=event.site,
            related=_saved(event),
            notes=(reason.note,) if reason.note else (),
            help=reason.help,
        )


def _saved(event: Crashed) -> tuple[Related, ...]:
    saved = (Related(event.saved, "the only torch.save of this file is here"),) if event.saved is not None else ()
    return each_line_once(saved, event.site)


def _reason(event: Crashed) -> _Reason | None:
    device = _DEVICE.search(event.message)
    if device is not None:
        return _elsewhere(event, (device[1] or f"cuda:{device[2]}").lower())
    if "Weights only load failed" in event.message:
        return _more_than_weights(event)
    if "_legacy_load" in event.functions and event.error in ("KeyError", "UnpicklingError", "EOFError"):
        headline = f"`{_file(event)}` is no checkpoint: it does not begin like one"
        return _Reason(headline, "a file as torch.save writes it", "a file of another kind")
    if _CUT.search(event.message) is not None:
        headline = f"`{_file(event)}` is no whole checkpoint: its end is missing"
        return _Reason(
            headline, "a file as torch.save writes it, for torch.load", "a file that can't be read to its end"
        )
    return None


def _elsewhere(event: Crashed, device: str) -> _Reason:
    """The tensors belong to a device that is not there."""
    is_asked = event.call is not None and event.call.setting("map_location") is not None
    what = f"`map_location` is {device}" if is_asked else f"The checkpoint's tensors are on {device}"
    return _Reason(
        f"{what}, but this machine has no {device} device",
        'map_location="cpu", or another device that is there',
        f"map_location={device}" if is_asked else f"no map_location, and tensors saved on {device}",
        help=_with_map_location(event),
    )


def _with_map_location(event: Crashed) -> str:
    code = event.site.code if event.site is not None else ""
    if not code.endswith(")"):
        return ""
    changed, times = re.subn(r"map_location=[^,()]+", 'map_location="cpu"', code)
    if times == 1:
        return changed
    return f'{code[:-1]}, map_location="cpu")' if "map_location" not in code else ""


def _more_than_weights(event: Crashed) -> _Reason:
    found = _GLOBAL.search(event.message)
    name = found[1].rpartition(".")[2] if found is not None else "an object"
    return _Reason(
        f"The file holds a `{short(name)}`, but `torch.load` reads weights only",
        "tensors, numbers, text, and dicts and lists of these, with weights_only=True",
        f"an object of {found[1] if found is not None else 'another class'}",
        note="weights_only=False reads it, and runs what the file says: only for a file that is trusted",
    )


def _file(event: Crashed) -> str:
    call = event.call
    unread = call.unread[0].code if call is not None and call.unread else ""
    setting = call.setting("0") or call.setting("f") if call is not None else None
    if setting is not None and setting.site is not None:
        return short(str(setting.value))
    return short(unread) if unread else "The file"

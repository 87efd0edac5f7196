"""TCK305."""

import difflib
import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Setting
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.lineage_wording import made, written
from tensorcheck.rule import Rule
from tensorcheck.wording import label_for

_UNKNOWN = re.compile(r"device type at start of device string: (\S+)|Invalid device string: '([^']*)'")
_ABSENT = re.compile(
    r"(?:not (?:compiled|linked) with (?:support for )?(\w+)(?: enabled| devices)?)|Found no NVIDIA driver|"
    r"No CUDA GPUs are available|The (MPS) backend is supported on|Cannot access accelerator device when none|"
    r"invalid device ordinal|Invalid device id|driver on your system is too old|"
    r"arguments from the '(CUDA|MPS|XPU|HPU|XLA|HIP|MTIA|Vulkan)' backend"
)
_KNOWN = ("cpu", "cuda", "mps", "xpu", "meta", "hpu", "xla", "mtia", "vulkan", "hip", "ipu", "maia")
_QUESTIONS = {
    "cuda": "torch.cuda.is_available()",
    "mps": "torch.backends.mps.is_available()",
    "xpu": "torch.xpu.is_available()",
}
_OTHER_WORDS = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps", "tpu": "xla", "rocm": "cuda"}


class DeviceNotAvailable(Rule[Crashed]):
    """A device is asked for that this machine or this build of PyTorch does not have, or that does not exist.

    ## What it does
    Explains the exception that is raised when something is moved to, or made on, a device that is not there: which
    device, and where its name was written.

    ## Why it matters
    A script that names its device outright runs on one machine alone, where `torch.cuda.is_available()` tells whether
    there is one to use. A name that PyTorch does not know (`gpu`) is found on its first use, not where it was written.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    device = "gpu"
    with tensorcheck.watch(model) as watch:
        model.to(device)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tensorcheck.watch(model) as watch:
        model.to(device)
    ```
    """

    code = "TCK305"
    name = "device-not-available"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the device that was asked for."""
        unknown, absent = _UNKNOWN.search(event.message), _ABSENT.search(event.message)
        asked = _asked(event.call) if event.call is not None else None
        if unknown is not None:
            name = unknown[1] or unknown[2]
            meant = _meant(name)
            note = (f"likely: `{meant}` is meant",) if meant else ()
            yield self._found(event, f"`{name}` is no device that PyTorch knows", name, asked, note)
        elif absent is not None:
            told = next((group.lower() for group in absent.groups() if group), "")
            name = str(asked.value) if asked is not None else told or "cuda"
            where = (
                "this build of PyTorch" if re.search("compiled|linked|arguments from", absent[0]) else "this machine"
            )
            yield self._found(event, f"`{name}` is asked for but {where} has no such device", name, asked, ())

    def _found(
        self, event: Crashed, headline: str, name: str, asked: Setting | None, notes: tuple[str, ...]
    ) -> Finding:
        kind = (_meant(name) or name).partition(":")[0]
        is_there = "ordinal" in event.message
        help_ = _help(event, asked, kind) if kind in _QUESTIONS and not is_there else ""
        return self.finding(
            headline,
            label=label_for(headline, f'"{name}"'),
            got=f'"{name}"',
            site=asked.site if asked is not None and asked.site is not None else event.site,
            related=_places(asked) if asked is not None else (),
            notes=notes,
            help=help_,
            fixes=(Fix(help_, (ChangeSetting(asked.name, "cpu"),)),) if help_ and asked is not None else (),
        )


def _places(asked: Setting) -> tuple[Related, ...]:
    """Where the device's name was written, or where the object was made that holds it."""
    return written(asked.lineage, asked.value) or made(asked, lambda _: True, f'"{asked.value}"')


def _asked(call: FailedCall) -> Setting | None:
    """The argument that names a device."""
    named = [setting for setting in call.settings if setting.name == "device" and isinstance(setting.value, str)]
    texts = [setting for setting in call.settings if isinstance(setting.value, str)]
    return next(iter([*named, *texts]), None)


def _meant(name: str) -> str:
    """The device that a name stands for which PyTorch does not know."""
    kind = name.partition(":")[0].lower()
    near = difflib.get_close_matches(kind, _KNOWN, n=1)
    return _OTHER_WORDS.get(kind) or next(iter(near), "")


def _help(event: Crashed, asked: Setting | None, kind: str) -> str:
    """The device's name with a way out, where the user's line or the variable in it says it."""
    choice = f'"{kind}" if {_QUESTIONS[kind]} else "cpu"'
    code = event.site.code if event.site is not None else ""
    if asked is not None and asked.site is not None:
        name = asked.site.code
        return f"{name} = {choice}" if name.isidentifier() else code.replace(name, choice)
    method = f".{kind}()"
    return code.replace(method, f".to({choice})") if code.count(method) == 1 else ""

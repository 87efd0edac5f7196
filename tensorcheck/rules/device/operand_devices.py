"""TCK303."""

import re
from collections.abc import Iterator, Sequence

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.placement import IS_ABOUT_DEVICES, are_apart, device_places, guilty_pair, movings
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import (
    first_that_fits,
    how_it_got_here,
    label_for,
    short,
    weight_of,
    within,
)

_NUMPY = re.compile(r"can't convert (\S+) device type tensor to numpy")
_LENGTHS = re.compile(r"'(\w+)' argument should be a 1D CPU int64 tensor, but got \dD (?!CPU)(\S+) ", re.IGNORECASE)
_GRADIENT = re.compile(r"Function (\w+?)(?:Backward\d*)? returned an invalid gradient .* device (\S+) but got (\S+)")
_TWO = re.compile(
    r"Tensor on device (\S+) is not on the expected device (\S+)!|at least two devices, (\S+) and ([\w:]+)|"
    r"is on (\S+), different from other tensors on ([\w:]+)|expected device (\S+) but got (\S+)|"
    r"device type '(\S+)' to a tensor with device type '(\S+)'"
)


class OperandDevices(Rule[Crashed]):
    """The operands of one operation live on different devices.

    ## What it does
    Explains the exception of an operator, a function or a method whose operands are on two devices: which of them is
    where, and where the one that was forgotten was made.

    ## Why it matters
    The message names two devices and no tensor. Most often one operand was made by a factory without `device=`, or it
    is a plain attribute of a module: only parameters and registered buffers move with `model.to(device)`.

    ## Example
    ```python
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = torch.ones(4, device="meta")

        def forward(self, rows):
            return rows + self.shift

    model = Shifted()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4))
    ```

    ## Use instead
    ```python
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.ones(4))

        def forward(self, rows):
            return rows + self.shift

    model = Shifted()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4))
    ```
    """

    code = "TCK303"
    name = "operand-devices"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the devices of the failed operation's operands."""
        call = event.call
        if call is None or event.loading is not None or call.kind == "loss" or not _is_ours(event.message):
            return
        if call.kind == "layer" and (call.module is None or weight_of(call.module) is not None):
            return
        pair = guilty_pair(call.operands)
        if pair is not None and not _LENGTHS.search(event.message):
            yield self._apart(event, *pair)
        else:
            yield from self._told(event, call)

    def _apart(self, event: Crashed, guilty: Operand, other: Operand) -> Finding:
        wanted, came = other.meta.device, guilty.meta.device
        headline = first_that_fits(
            f"`{short(guilty.spelled)}` is on {came} but `{short(other.spelled)}` is on {wanted}",
            f"`{short(guilty.spelled, 15)}` is on {came} but `{short(other.spelled, 15)}` is on {wanted}",
        )
        fixes = (*movings(guilty, wanted, other), *movings(other, came, guilty))
        notes = (*_roles(event.message), *_notes(guilty, event.modules))
        return self._found(event, headline, guilty, wanted, fixes=fixes, notes=notes)

    def _told(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        """What the message knows where the operands do not differ or are gone."""
        given = call.first
        if (told := _LENGTHS.search(event.message)) is not None:
            lengths = next((each for each in call.operands if not each.meta.is_floating_point), given)
            headline = f"`{told[1]}` is on {told[2]} but `{call.function}` takes it on cpu"
            yield self._found(event, headline, lengths, "cpu", fixes=tuple(movings(lengths, "cpu")) if lengths else ())
        elif _NUMPY.search(event.message) and given is not None:
            headline = f"`{short(given.spelled)}` is on {given.meta.device} but NumPy reads from cpu alone"
            yield self._found(event, headline, given, "cpu", fixes=tuple(movings(given, "cpu")))
        elif (told := _GRADIENT.search(event.message)) is not None:
            yield self.finding(
                f"`{told[1]}` gave a gradient on {told[3]} for an input on {told[2]}",
                expected=f"gradient on {told[2]}",
                got=f"gradient on {told[3]}",
                site=event.site,
            )
        elif (told := _TWO.search(event.message)) is not None:
            one, two = (group for group in told.groups() if group)
            yield self._unread(event, call, one, two)

    def _unread(self, event: Crashed, call: FailedCall, one: str, two: str) -> Finding:
        """An operand whose value is gone is on the device that no other is on."""
        given = call.first
        if given is None:
            return self.finding(f"`{call.function}` got tensors on {one} and on {two}", site=event.site)
        other = two if not are_apart(given.meta.device, one) else one
        gone: Site | None = next(iter(call.unread), None)
        names = [f"`{short(gone.code)}`", "another tensor"] if gone is not None else ["another tensor"]
        start = f"`{short(given.spelled)}` is on {given.meta.device} but"
        headline = first_that_fits(*(f"{start} {name} is on {other}" for name in names))
        if gone is not None and other in ("cpu", "meta") and given.meta.device not in ("cpu", "meta"):
            return self.finding(headline, expected=f"{given.meta.device}", got=other, site=gone)
        return self._found(event, headline, given, other, fixes=tuple(movings(given, other)))

    def _found(self, event: Crashed, headline: str, guilty: Operand | None, wanted: str, **parts: object) -> Finding:
        if guilty is None:
            return self.finding(headline, site=event.site)
        meta = guilty.meta

        return self.finding(
            headline,
            label=label_for(headline, str(meta), f"{meta.notation} {meta.device}"),
            expected=f"{meta.notation} {wanted}",
            got=f"{meta.notation} {meta.device}{within(event.modules)}",
            module=event.modules[-1].path if event.modules else None,
            site=guilty.site or event.site,
            related=device_places(guilty, event.call),
            path=how_it_got_here(event.calls),
            **parts,
        )


def _is_ours(message: str) -> bool:
    """Devices, and no module's weights, and no state that was saved."""
    is_of_module = "Module.to_empty" in message or "state_dict" in message
    return bool(IS_ABOUT_DEVICES.search(message)) and not is_of_module


def _roles(message: str) -> Iterator[str]:
    """Which parameter is where, if the message says so: `query on cpu, key on meta`."""
    roles = [f"{name} on {device}" for name, device in re.findall(r"(\w+)\.device: ([\w:]+)", message)]
    if roles:
        yield ", ".join(roles)


def _notes(guilty: Operand, modules: Sequence[ModuleMeta]) -> tuple[str, ...]:
    """Of a tensor that a module keeps, what it is there."""
    name = guilty.spelled.removeprefix("self.")
    if not modules or name == guilty.spelled or not name.isidentifier():
        return ()
    if any(tensor.name == name for tensor in (*modules[-1].parameters, *modules[-1].buffers)):
        return ("a buffer with `persistent=False` is in no checkpoint",) if guilty.meta.device == "meta" else ()
    return ("a plain attribute does not move with its module; a registered buffer does",)

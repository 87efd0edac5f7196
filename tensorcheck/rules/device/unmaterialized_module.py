"""TCK304."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Cause, FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.placement import IS_ABOUT_DEVICES, device_places, guilty_pair
from tensorcheck.knowledge.weight_causes import cure, device_cause, told, without_values
from tensorcheck.lineage import Step
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import (
    each_line_once,
    expectation,
    first_that_fits,
    how_it_got_here,
    label_for,
    short,
    title,
    titled,
    weight_of,
)

_WITHOUT_VALUES = re.compile(
    r"cannot be called on meta tensors|Cannot copy out of meta tensor|register_meta function for|with Meta tensors"
)
_COPIED = re.compile(
    r'While copying the parameter named "([^"]+)", .*? in the checkpoint are torch\.Size\((\[[\d, ]*\])\)'
)
_LAZY = re.compile(r"uninitialized (?:parameter|buffer)")
_EMPTY = "on meta there are shapes but no values; `to_empty` gives memory, loading or initialising gives the values"


class UnmaterializedModule(Rule[Crashed]):
    """A module is used, or moved, whose weights have no values yet.

    ## What it does
    Explains the exception that follows from weights on the `meta` device, and from parameters of a lazy module that has
    not seen a batch: which module it is, and what asked for values or shapes that are not there.

    ## Why it matters
    A model that is built under `torch.device("meta")` costs no memory and holds no numbers. `model.to(device)` can't
    copy what is not there, and a part that no checkpoint fills stays behind while the rest works.

    ## Example
    ```python
    with torch.device("meta"):
        model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4))
    ```

    ## Use instead
    ```python
    with torch.device("meta"):
        model = nn.Linear(4, 2)
    model.to_empty(device="cpu")
    model.reset_parameters()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4))
    ```
    """

    code = "TCK304"
    name = "unmaterialized-module"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for weights, and for tensors made of them, that have no values."""
        call = event.call
        if call is None or event.loading is not None:
            return
        copied = _COPIED.search(event.message)
        if _LAZY.search(event.message):
            yield self._lazy(event, call)
        elif copied is not None and "meta tensor" in event.message:
            yield self._copied(event, call, *copied.groups())
        elif call.kind == "layer" and call.module is not None and IS_ABOUT_DEVICES.search(event.message):
            yield from self._layer(event, call, call.module)
        elif call.kind == "operation" and _WITHOUT_VALUES.search(event.message) and guilty_pair(call.operands) is None:
            yield self._moved(event, call) if "Module.to_empty" in event.message else self._read(event, call)

    def _layer(self, event: Crashed, call: FailedCall, layer: ModuleMeta) -> Iterator[Finding]:
        weight = weight_of(layer)
        given = next((operand for operand in call.operands if operand.meta.device != "meta"), None)
        if weight is None or weight.device != "meta" or given is None:
            return
        headlines = (f"{name} has its weights on meta" for name in (titled(layer), title(layer)))
        full = f"{titled(layer)} has its weights on meta but got a tensor on {given.meta.device}"
        headline = first_that_fits(full, *headlines)
        cause = device_cause(call, weight.device, given.meta.device)
        is_kept = cause is not None and cause.kind == "unregistered"
        failed = without_values(call)[:1] if not is_kept else ()
        yield self.finding(
            headline,
            label=label_for(headline, str(given.meta), given.meta.notation),
            expected=expectation(f"weights on {given.meta.device}", layer),
            got=f"weights on {weight.device}",
            site=given.site or event.site,
            module=layer.path,
            related=(told(cause),)
            if cause is not None and is_kept
            else (*map(told, failed), *_places(call, layer, cause, given)),
            path=how_it_got_here(event.calls),
            notes=() if is_kept else (_EMPTY,),
            help=next(filter(None, map(cure, failed)), "") or cure(cause),
        )

    def _moved(self, event: Crashed, call: FailedCall) -> Finding:
        code = event.site.code if event.site is not None else ""
        device = re.fullmatch(r"(.+)\.to\((?:device=)?([^,()]+)\)", code)
        name = f"`{short(device[1])}`" if device is not None else "a module"
        kind = f" ({call.owner.kind})" if call.owner is not None else ""
        return self.finding(
            first_that_fits(*(f"{name}{each} is on meta and has no values that could be moved" for each in (kind, ""))),
            got=f"{call.owner.kind if call.owner is not None else 'weights'} on meta",
            site=event.site,
            notes=(_EMPTY,),
            help=f"{device[1]}.to_empty(device={device[2]})" if device is not None else "",
        )

    def _read(self, event: Crashed, call: FailedCall) -> Finding:
        """A tensor on meta of which a function reads values."""
        given = call.first
        function = "its index" if call.function in ("getitem", "setitem") else f"`{call.function}`"
        if given is None:
            return self.finding(f"{function} reads values of a tensor on meta", site=event.site, notes=(_EMPTY,))
        start = f"`{short(given.spelled)}` is on meta, without"
        headline = first_that_fits(f"{start} the values that {function} reads", f"{start} values")
        return self.finding(
            headline,
            label=label_for(headline, str(given.meta), given.meta.notation),
            got=f"{given.meta.notation} meta",
            site=given.site or event.site,
            related=device_places(given, call),
            notes=(_EMPTY,),
        )

    def _copied(self, event: Crashed, call: FailedCall, name: str, sizes: str) -> Finding:
        headline = f"`{short(name)}` of the state that is loaded is on meta and has no values"
        state = next((operand for operand in call.operands if operand.name.endswith(f"[{name!r}]")), None)
        return self.finding(
            headline,
            got=f"{name}: {sizes} meta",
            site=event.site,
            related=device_places(state, call) if state is not None else (),
            notes=(_EMPTY,),
        )

    def _lazy(self, event: Crashed, call: FailedCall) -> Finding:
        owner, given = call.owner, call.first
        name = f"`{short(given.spelled)}`" if given is not None else "a parameter"
        lazy = owner if owner is not None and owner.kind.startswith("Lazy") else None
        kind = titled(lazy) if lazy is not None and lazy.path else lazy.kind if lazy is not None else "a lazy module"
        return self.finding(
            first_that_fits(f"{name} of {kind} has no shape yet for `{call.function}`", f"{name} has no shape yet"),
            expected="a parameter with a shape",
            got="an uninitialised parameter",
            site=_site(event, given),
            module=lazy.path if lazy is not None else None,
            related=(Related(lazy.definition, f"{title(lazy)} is built here"),) if lazy and lazy.definition else (),
            notes=("a lazy module takes its sizes from the first batch that it sees",),
        )


def _places(call: FailedCall, layer: ModuleMeta, cause: Cause | None, given: Operand) -> tuple[Related, ...]:
    """Where the layer was built, and what said that it is built on meta."""
    built = [Related(layer.definition, f"{title(layer)} is built here")] if layer.definition is not None else []
    causes = [told(cause)] if cause is not None else []
    return each_line_once([*(list(_named(call)) or built), *causes], given.site)


def _named(call: FailedCall) -> Iterator[Related]:
    """Where the device was written that the layer was built with, if its construction names one."""
    lineage = call.made.get("device")
    named = [each for each in lineage.ancestors if each.value == "meta"] if lineage is not None else []
    places = [each for each in named if each.step is not Step.SPELLED and each.site is not None]
    yield from (Related(each.site, f"`{short(each.name)}` is meta from here on") for each in places[-1:] if each.site)


def _site(event: Crashed, given: Operand | None) -> Site | None:
    return given.site if given is not None and given.site is not None else event.site

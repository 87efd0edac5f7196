"""TCK407."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.differentiation import Overwritten, Write
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.graph_cuts import cuts_of
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short

_OVERWRITTEN = re.compile(
    r"modified by an inplace operation: \[(?P<type>\S+) (?P<shape>\[[\d, ]*\])\].*?"
    r"is at version (?P<now>\d+); expected version (?P<then>\d+)",
    re.DOTALL,
)
_OF_VIEWS = re.compile(
    r"is a view and is being modified inplace|is a view of a leaf|A view was created in no_grad mode"
)
_ASSIGNMENT = re.compile(r"^(?P<target>[^=]+?)\s*(?P<operator>\*\*|//|[-+*/@%&|^])=\s*(?P<value>.+)$")
_PLACES = 3


class OverwrittenForBackward(Rule[Crashed]):
    """A tensor that the backward pass needs was changed in place after the forward pass had saved it.

    ## What it does
    Explains `one of the variables needed for gradient computation has been modified by an inplace operation`: which
    variable or parameter it is, the line that saved it and the line that changed it. An optimizer's `step` changes
    parameters in place too. The same of a view that may not be changed in place.

    ## Why it matters
    The exception is raised at `backward`, and its message knows neither line. Its hint, anomaly detection, shows the
    one that saved the tensor, which is most often innocent.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        first, second = model(torch.rand(8, 4)).mean(), model(torch.rand(8, 4)).square().mean()
        first.backward()
        optimizer.step()
        second.backward()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        first = model(torch.rand(8, 4)).mean()
        first.backward()
        optimizer.step()
        second = model(torch.rand(8, 4)).square().mean()
        second.backward()
    ```

    ## Limits
    Both lines are known of the first steps under a watch; otherwise the source shows where the tensor may be changed.
    """

    code = "TCK407"
    name = "overwritten-for-backward"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name the tensor, what saved it and what changed it."""
        told = _OVERWRITTEN.search(event.message)
        if told is not None:
            yield self._overwritten(event, told)
        elif _OF_VIEWS.search(event.message) and "leaf" not in event.message.split(".", maxsplit=1)[0]:
            yield self._view(event)

    def _overwritten(self, event: Crashed, told: re.Match[str]) -> Finding:
        found = event.differentiation.overwritten if event.differentiation is not None else None
        shown = _shown(told)
        name = _name(found) or shown
        write = found.writes[0] if found is not None and found.writes else None
        by = f"`{short(write.site.code)}`" if write is not None else "in place"
        saver = _saver(found)
        layered = [f"{_layer(write)} overwrites what {saver} saved for backward"] if write and _is_layer(write) else []
        return self.finding(
            first_that_fits(
                *layered,
                f"`{name}` is changed by {by} after {saver} saved it for backward",
                f"`{name}` is changed after {saver} saved it for backward",
                f"{shown} is changed after {saver} saved it for backward",
                "a tensor is changed after it was saved for backward",
            ),
            label=f"changes `{name}`" if write is not None else "needs it as it was saved",
            expected=f"{shown} at version {told['then']}, as it was saved",
            got=f"{shown} at version {told['now']}",
            site=write.site if write is not None else event.site,
            module=write.module or None if write is not None else None,
            related=_places(event, found, name),
            notes=_notes(write),
            help=_help(event, write, name),
        )

    def _view(self, event: Crashed) -> Finding:
        given = event.call.first if event.call is not None else None
        name = short(given.spelled) if given is not None else "a view"
        cuts = [cut for cut in cuts_of(given.lineage) if cut.switch is not None] if given is not None else []
        made = _maker(given)
        is_one_of_several = "multiple views" in event.message
        why = f"one of several views that {made} gave" if is_one_of_several else "a view that was made under no_grad"
        headline = first_that_fits(f"`{name}` is changed in place, and is {why}", f"`{name}` is {why}")
        return self.finding(
            headline,
            label=label_for(headline, str(given.meta) if given is not None else "", "in place"),
            expected=f"a tensor of its own, or `{name}` unchanged",
            got=f"`{name}`, a view, changed in place",
            site=event.site,
            related=(
                *(Related(cut.switch, "gradients are off in here") for cut in cuts[:1] if cut.switch),
                *_of(given),
            ),
            help=_out_of_place(event.site.code if event.site is not None else ""),
        )


def _shown(told: re.Match[str]) -> str:
    kind = told["type"].rpartition(".")[2].removesuffix("Tensor").lower()
    dtype = {"float": "float32", "double": "float64", "half": "float16", "long": "int64"}.get(kind, kind)
    return f"{dtype}{told['shape']}"


def _name(found: Overwritten | None) -> str:
    """What holds the tensor; else what the source changes."""
    if found is None:
        return ""
    written = _target(found.writes[0].site.code) if found.writes else ""
    if written and not any(each.is_parameter for each in found.held):
        return short(written)
    held = sorted(found.held, key=lambda each: not each.is_parameter)
    if held:
        return short(held[0].name)
    return short(_target(found.writes[0].site.code)) if found.writes else ""


def _target(code: str) -> str:
    """What a statement changes: `h` of `h += 1`, `h[0] = 1` and `h.mul_(2)`."""
    target = _ASSIGNMENT.match(code) or re.match(r"^(?P<target>[\w.]+)\.\w+_\(", code)
    return target["target"].partition("[")[0].strip() if target is not None else ""


def _is_layer(write: Write) -> bool:
    """Whether a layer changes it that was built with `inplace=True`."""
    return bool(write.layer) and write.function.lower().rstrip("_") == write.layer.lower()


def _layer(write: Write) -> str:
    return f"`{write.module or write.layer}` ({write.layer}, inplace=True)"


def _saver(found: Overwritten | None) -> str:
    if found is None:
        return "the forward pass"
    node = found.saver
    if node.module:
        return f"`{node.module}`"
    return f"`{node.layer or node.functions[0].capitalize()}`" if not node.made else f"`{node.functions[0]}`"


def _places(event: Crashed, found: Overwritten | None, name: str) -> tuple[Related, ...]:
    """Where the loss was computed, where the tensor was saved, where else it may be changed, and the backward."""
    made = event.loss.lineage.ancestors[1:2] if event.loss is not None else ()
    write = found.writes[0].site if found is not None and found.writes else None
    places = [
        Related(each.site, f"`{short(each.name)}` is computed here{_before(each.site, write)}")
        for each in made
        if each.site is not None
    ]
    if found is not None and found.saver.made is not None:
        places.append(Related(found.saver.made, f"{_saver(found)} saves `{name}` here"))
    if found is not None:
        others = [write for write in found.writes[1:_PLACES] if not write.is_certain]
        places += [Related(write.site, "this changes it in place too") for write in others]
    if event.site is not None and found is not None and found.writes:
        places.append(Related(event.site, "backward needs it as it was"))
    shown = found.writes[0].site if found is not None and found.writes else event.site
    return each_line_once(places, shown)


def _before(site: Site, write: Site | None) -> str:
    """What is known of the order of two lines, of one function alone."""
    is_known = write is not None and (write.file, write.function) == (site.file, site.function)
    return ", before the change" if is_known and write is not None and write.line > site.line else ""


def _notes(write: Write | None) -> tuple[str, ...]:
    return () if write is None or write.is_certain else ("likely changed here: it is what the source shows",)


def _help(event: Crashed, write: Write | None, name: str) -> str:
    """The same out of place; of an optimizer's step, the order of the lines."""
    if write is None:
        return ""
    if write.function == "step":
        loss = short(event.loss.spelled) if event.loss is not None else "the loss"
        return f"compute `{loss}` below `{write.site.code}`"
    if _is_layer(write):
        return f"nn.{write.layer}()    without inplace=True"
    if write.function == "__setitem__":
        return f"{name} = {name}.clone()    above the line that changes it"
    return _out_of_place(write.site.code)


def _out_of_place(code: str) -> str:
    """`x += y` as `x = x + y`, and `x.add_(y)` as `x = x.add(y)`."""
    assignment = _ASSIGNMENT.match(code)
    if assignment is not None:
        target = assignment["target"]
        return f"{target} = {target} {assignment['operator']} {assignment['value']}"
    method = re.match(r"^(?P<owner>[\w.]+)\.(?P<name>\w+[a-z])_\((?P<rest>.*)\)$", code)
    return f"{method['owner']} = {method['owner']}.{method['name']}({method['rest']})" if method is not None else ""


def _maker(given: Operand | None) -> str:
    made = next((each for each in (given.lineage.ancestors if given is not None else ()) if each.function), None)
    return f"`{made.function}`" if made is not None else "one call"


def _of(given: Operand | None) -> tuple[Related, ...]:
    for made in given.lineage.ancestors[1:2] if given is not None else ():
        if made.site is not None:
            return (Related(made.site, f"`{short(made.name)}` is made here"),)
    return ()

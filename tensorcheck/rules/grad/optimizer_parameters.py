"""TCK414."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand, OtherValue
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.missing_gradients import all_frozen, is_without_parameters
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, each_line_once, first_that_fits, label_for, listed, short

_NON_LEAF = "can't optimize a non-leaf Tensor"
_ELEMENT = re.compile(r"optimizer can only optimize Tensors, but one of the params is (?P<kind>\S+)")
_WHOLE = re.compile(r"params argument given to the optimizer should be an iterable of Tensors or dicts, but got")
_NOT_ITERABLE = re.compile(r"^'(?P<kind>\w+)' object is not iterable$")
_USED_UP = frozenset({"filter", "generator", "map"})
"""What gives its elements once."""
_TWICE = "some parameters appear in more than one parameter group"


class OptimizerParameters(Rule[Crashed]):
    """An optimizer is given something else than a model's parameters.

    ## What it does
    Explains what optimizers refuse when they are built: a model instead of its parameters, one tensor instead of a
    list, names, a tensor that was computed, a parameter in two groups, or nothing at all.

    ## Why it matters
    `'Net' object is not iterable` does not say that `.parameters()` is missing, and `can't optimize a non-leaf Tensor`
    does not say which tensor was computed from another: `.to(device)` and any arithmetic after `requires_grad=True` do.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model, lr=0.1)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ```
    """

    code = "TCK414"
    name = "optimizer-parameters"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Say what the optimizer was given."""
        if _NON_LEAF in event.message:
            yield self._non_leaf(event)
        elif (element := _ELEMENT.search(event.message)) is not None:
            yield self._given(event, f"a collection of {element['kind']}", _elements(element["kind"]))
        elif _WHOLE.search(event.message):
            yield self._given(event, "one tensor", "a list of parameters")
        elif (kind := _NOT_ITERABLE.search(event.message)) is not None and _is_of_optimizer(event):
            yield self._given(event, f"a {kind['kind']}", "its parameters")
        elif _TWICE in event.message:
            yield self._twice(event)
        elif is_without_parameters(event) and not all_frozen(event):
            yield self._none(event)

    def _given(self, event: Crashed, given: str, wanted: str) -> Finding:
        kind = _kind(event)
        spelled = _spelled(event)
        name = f"`{short(spelled)}`, " if spelled else ""
        return self.finding(
            first_that_fits(f"`{kind}` is given {name}{given}, instead of {wanted}", f"`{kind}` is given {given}"),
            label=label_for("x" * 30, given, ""),
            expected=f"{wanted}, such as model.parameters()",
            got=given,
            site=event.site,
            help=_help(given, spelled, event),
        )

    def _non_leaf(self, event: Crashed) -> Finding:
        given = next((each for each in _operands(event) if each.meta.requires_grad and not each.meta.is_leaf), None)
        name = short(given.spelled) if given is not None else "a tensor"
        made = given.lineage.ancestors[1:2] if given is not None else ()
        maker = given.lineage.maker() if given is not None else None
        makers = (
            [Related(maker.site, "this makes it, as the result of an operation")]
            if maker is not None and maker.site
            else []
        )
        places = [
            *(Related(each.site, f"`{name}` is computed here") for each in made if each.site is not None),
            *makers,
        ]
        code = made[0].site.code if made and made[0].site is not None else ""
        headline = f"`{name}` is computed from other tensors, so `{_kind(event)}` can't optimize it"
        return self.finding(
            first_that_fits(headline, f"`{name}` is no leaf, so `{_kind(event)}` can't optimize it"),
            label=label_for(headline, str(given.meta) if given is not None else "", "no leaf"),
            expected="leaves of the graph: parameters, or tensors made with requires_grad=True last",
            got=f"{given.meta}, made by {given.grad_fn}" if given is not None else "a computed tensor",
            site=(given.site if given is not None else None) or event.site,
            related=each_line_once(places, event.site),
            help=f"{name} = {enclosed(code)}.detach().requires_grad_()" if code and given is not None else "",
        )

    def _twice(self, event: Crashed) -> Finding:
        given = next(iter(_operands(event)), None)
        made = given.lineage.ancestors[1:] if given is not None else ()
        places = [Related(each.site, "the groups are made here") for each in made[:2] if each.site is not None]
        names = event.trainable_models.repeated if event.trainable_models is not None else ()
        which = listed(names, most=2) if names else "a parameter"
        return self.finding(
            first_that_fits(f"`{_kind(event)}` is given {which} in two groups", "a parameter is in two groups"),
            label="in two groups",
            expected="each parameter in one group",
            got=f"{which} in more than one",
            site=event.site,
            related=each_line_once(places, event.site),
        )

    def _none(self, event: Crashed) -> Finding:
        models = event.trainable_models
        count = len(models.wanted) if models is not None else 0
        notes = [f"the models at hand have {counted(count, 'parameter')} with requires_grad=True"]
        if models is not None and not models.parameters:
            notes = ["no model at hand has a parameter: layers in a plain list or dictionary are not registered"]
        given = next(iter(event.call.others), None) if event.call is not None else None
        is_used_up = given is not None and given.kind in _USED_UP and count > 0
        if given is not None and is_used_up:
            notes.append(f"likely `{short(given.spelled)}`, a {given.kind}, was gone through before: it gives all once")
        return self.finding(
            f"`{_kind(event)}` is given no parameter at all",
            label=f"an empty {given.kind}" if given is not None else "an empty list",
            expected="at least one parameter",
            got="none",
            site=event.site,
            related=each_line_once(_made(given), event.site),
            notes=tuple(notes),
            help=_listed(given) if given is not None and is_used_up else "",
        )


def _made(given: OtherValue | None) -> list[Related]:
    made = given.lineage.ancestors[1:2] if given is not None else ()
    return [Related(each.site, f"`{short(each.name)}` is made here") for each in made if each.site is not None]


def _listed(given: OtherValue) -> str:
    """The statement that makes it, as a list."""
    made = next(iter(given.lineage.ancestors[1:2]), None)
    return f"{made.name} = list({made.site.code})" if made is not None and made.site is not None else ""


def _operands(event: Crashed) -> tuple[Operand, ...]:
    return event.call.operands if event.call is not None else ()


def _kind(event: Crashed) -> str:
    return event.call.function if event.call is not None else "the optimizer"


def _is_of_optimizer(event: Crashed) -> bool:
    """Whether an optimizer was being built, or got another group."""
    is_building = event.functions[:1] in (("__init__",), ("add_param_group",))
    return event.trainable_models is not None and is_building


def _elements(kind: str) -> str:
    return "parameters, not their names" if kind == "str" else "parameters"


def _spelled(event: Crashed) -> str:
    """The first argument, as the user's line spells it."""
    code = event.site.code if event.site is not None else ""
    inside = code.partition("(")[2]
    first = re.match(r"\s*(?:params\s*=\s*)?([\w.]+(?:\(\))?)\s*[,)]", inside)
    return first[1] if first is not None else ""


def _help(given: str, spelled: str, event: Crashed) -> str:
    code = event.site.code if event.site is not None else ""
    if not spelled or not code:
        return ""
    if given == "one tensor":
        return code.replace(spelled, f"[{spelled}]", 1)
    if spelled.endswith(".state_dict()"):
        return code.replace(".state_dict()", ".parameters()", 1)
    is_model = given.startswith("a ") and "collection" not in given
    return code.replace(f"({spelled}", f"({spelled}.parameters()", 1) if is_model else ""

"""TCK405."""

import re
from collections.abc import Iterator, Sequence

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.graph_cuts import Cut, cuts_of
from tensorcheck.knowledge.missing_gradients import all_frozen, is_of_inference, is_without_graph
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.lineage import Ancestor, Lineage
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, label_for, short

_NUMBER = re.compile(r"'(float|int|ndarray|numpy\.\S+)' object has no attribute 'backward'")
_UNUSED = re.compile(r"differentiated Tensor at index (\d+) appears to not have been used")
_COMPARISONS = frozenset({"gt", "lt", "ge", "le", "eq", "ne", "gte", "lte", "noteq"})
_PLACES = 3


class LossWithoutGraph(Rule[Crashed]):
    """`backward` is called on a loss that no parameter leads to.

    ## What it does
    Explains `element 0 of tensors does not require grad and does not have a grad_fn` where there are parameters to be
    trained: it names the expression that cut the graph, or what had switched gradients off. The same of a loss that
    is a plain number, and of a tensor whose gradient is asked for by `torch.autograd.grad`, `retain_grad` or
    `register_hook` though it has none.

    ## Why it matters
    The exception is raised at `backward`, but the mistake is where the graph was cut: a forward pass under `no_grad`, a
    `.detach()`, `.item()`, `.numpy()`, `argmax`, a comparison, or a loss wrapped in `torch.tensor(...)`.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square().mean()
        torch.tensor(loss.item()).backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square().mean()
        loss.backward()
    ```

    ## Limits
    Without a trace the place is read from the source, which shows all places that may have cut the graph.
    """

    code = "TCK405"
    name = "loss-without-graph"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Say where the gradient was lost."""
        if is_without_graph(event) and not all_frozen(event) and not is_of_inference(event):
            yield self._loss(event)
        elif (number := _NUMBER.search(event.message)) is not None:
            yield self._number(event, number[1])
        elif (asked := _asked(event)) is not None:
            yield self._asked(event, *asked)

    def _loss(self, event: Crashed) -> Finding:
        loss = event.loss
        name = short(loss.spelled) if loss is not None else "the loss"
        cuts = _cuts(event)
        models = event.trainable_models
        trainable = event.trainable or (len(models.wanted) if models is not None else 0)
        though = f", though {counted(trainable, 'parameter')} can train" if trainable else ""
        shown = str(loss.meta) if loss is not None else "a tensor without a gradient"
        return self.finding(
            _headline(name, cuts[0]) if cuts else f"`{name}` has no gradient to send back{though}",
            label=_label(cuts[0]) if cuts else label_for(name, shown, "no grad"),
            expected="a loss that is computed from the parameters, with gradients on",
            got=shown,
            site=cuts[0].switch or cuts[0].site if cuts else event.site,
            related=_related(event, cuts, name),
            notes=() if cuts else _notes(event),
            help=_help(cuts),
        )

    def _number(self, event: Crashed, kind: str) -> Finding:
        setting = event.call.setting("self") if event.call is not None else None
        name = short(setting.site.code) if setting is not None and setting.site is not None else "loss"
        cuts = list(cuts_of(setting.lineage)) if setting is not None else []
        by = f": `{cuts[0].function}` took its graph" if cuts and cuts[0].function else ""
        return self.finding(
            first_that_fits(f"`{name}` is a {kind}, no tensor{by}", f"`{name}` is a {kind}, no tensor"),
            label=_label(cuts[0]) if cuts else kind,
            expected=f"`{name}` to be a tensor with a graph",
            got=f"a {kind}",
            site=cuts[0].site if cuts else event.site,
            related=_related(event, cuts, name),
            help=_help(cuts),
        )

    def _asked(self, event: Crashed, operand: Operand, headline: str, wish: str) -> Finding:
        maker = operand.lineage.maker() if not operand.meta.requires_grad else None
        cuts = [cut for cut in cuts_of(operand.lineage) if maker is not None and _is_in(cut, maker)]
        return self.finding(
            headline,
            label=label_for(headline, str(operand.meta), "no grad"),
            expected=f"`{short(operand.spelled)}` with requires_grad=True, on the way to what is differentiated",
            got=str(operand.meta),
            site=operand.site or event.site,
            related=_places(cuts)
            or (() if maker is None else _maker(maker))
            or _assigned(operand.lineage, operand.site),
            help=wish,
        )


def _is_in(cut: Cut, maker: Ancestor) -> bool:
    return maker.line == (cut.site.file, cut.site.line)


def _maker(maker: Ancestor) -> tuple[Related, ...]:
    return (Related(maker.site, f"`{short(maker.name)}` is made here, without a gradient"),) if maker.site else ()


def _recorded(plain: Operand, of: Operand) -> str:
    """The statement that made a tensor, with a gradient asked for: what is computed before that has no graph to it."""
    maker = plain.lineage.maker()
    if plain is of or not plain.meta.is_floating_point:
        return ""
    if maker is None or maker.site is None or maker.site.source.strip() != f"{maker.name} = {maker.site.code}":
        return f"{plain.spelled}.requires_grad_()    before the forward that leads to `{short(of.spelled)}`"
    return f"{maker.name} = {enclosed(maker.site.code)}.requires_grad_()"


def _cuts(event: Crashed) -> list[Cut]:
    """What switched gradients off for all that followed; else what the trace saw; else what the source shows."""
    models, seen = event.trainable_models, event.cut
    if models is not None and not models.is_grad_enabled and models.switching_off:
        return [Cut("", site, switch=site) for site in models.switching_off]
    shown = list(cuts_of(event.loss.lineage)) if event.loss is not None else []
    if seen is None or seen.site is None:
        return shown
    at_line = [cut for cut in shown if (cut.site.file, cut.site.line) == (seen.site.file, seen.site.line)]
    name = at_line[0].name if at_line else seen.site.code
    return [cut for cut in at_line if cut.switch is not None] or [Cut(name, seen.site, function=seen.name)]


def _headline(name: str, cut: Cut) -> str:
    if cut.function == "create_graph":
        return f"`{name}` has no gradient: `grad` made `{short(cut.name)}` without create_graph"
    if cut.switch is not None and not cut.name:
        return first_that_fits(
            f"`{name}` has no gradient: they are off since `{cut.switch.code}`", f"`{name}` has no gradient"
        )
    by = cut.switch.code if cut.switch is not None else cut.site.code
    verb = "was made under" if cut.switch is not None else "comes from"
    what = "it" if cut.name == name else f"`{short(cut.name)}`"
    return first_that_fits(
        f"`{name}` has no gradient: {what} {verb} `{by}`",
        f"`{name}` has no gradient: {what} {verb} `{short(by)}`",
        f"`{name}` has no gradient: `{short(by)}` cuts the graph",
        f"`{short(by)}` cuts the graph of the loss",
    )


def _label(cut: Cut) -> str:
    if cut.switch is not None:
        return "no gradients from here on" if not cut.name else "no gradients in here"
    if cut.function == "create_graph":
        return "the graph ends here"
    return "a comparison has no gradient" if cut.function in _COMPARISONS else f"`{cut.function}` cuts it here"


def _help(cuts: Sequence[Cut]) -> str:
    """What is certain to bring the gradient back, where it is."""
    cut = cuts[0] if cuts else None
    if cut is None:
        return ""
    code = cut.site.code
    if cut.function == "create_graph" and code.endswith(")"):
        return f"{code[:-1]}, create_graph=True)"
    line = cut.site.source.strip()
    for end in (".detach()", ".item()", ".data"):
        if cut.function == end.strip(".()") and code.endswith(end) and line.count(code) == 1:
            return line.replace(code, code.removesuffix(end))
    return ""


def _related(event: Crashed, cuts: Sequence[Cut], name: str) -> tuple[Related, ...]:
    backward = [Related(event.site, f"`backward` is called on `{name}` here")] if cuts and event.site else []
    made = [] if event.loss is None else _assigned(event.loss.lineage, cuts[0].site if cuts else event.site)
    first = [cut for cut in cuts[:1] if cut.switch is not None]
    return (*_places(first), *made, *_places(cuts[1:]), *backward)


def _places(cuts: Sequence[Cut]) -> tuple[Related, ...]:
    """Where what was cut is made under a switch, and where else it may have been cut."""
    places = []
    for cut in cuts[:_PLACES]:
        what = f"`{short(cut.name)}`" if cut.name else "this"
        by = f"under `{cut.switch.code}`" if cut.switch is not None else f"by `{cut.function}`"
        if cut.switch is None or cut.switch != cut.site:
            places.append(Related(cut.site, f"{what} is made without a gradient here, {by}"))
    return tuple(places)


def _assigned(lineage: Lineage, at: Site | None) -> tuple[Related, ...]:
    """Where the tensor itself was made."""
    for ancestor in lineage.ancestors[1:2]:
        if ancestor.site is not None and (at is None or ancestor.site.line != at.line):
            return (Related(ancestor.site, f"`{short(ancestor.name)}` is made here"),)
    return ()


def _notes(event: Crashed) -> tuple[str, ...]:
    """On which side of the model's output the gradient was lost."""
    match event.output_required_grad:
        case True:
            return ("the model's output still required a gradient: it was lost between the output and this loss",)
        case False:
            return ("the model's output did not require a gradient: it was lost inside the model's forward",)
        case None:
            return ("the watched model was not called with gradients on before this",) if event.trainable else ()


def _asked(event: Crashed) -> tuple[Operand, str, str] | None:
    """A tensor whose gradient is asked for though it has none, what is wrong with it, and what helps."""
    call, operands = event.call, event.call.operands if event.call is not None else ()
    plain = next((operand for operand in operands if not operand.meta.requires_grad), None)
    unused = _UNUSED.search(event.message)
    if unused is not None and len(operands) > int(unused[1]) + 1 and call is not None:
        operand = operands[int(unused[1]) + 1]
        what, of = short(operand.spelled), short(operands[0].spelled)
        code = event.site.code if event.site is not None else ""
        wish = f"{code[:-1]}, allow_unused=True)    gives None for it" if code.endswith(")") else "allow_unused=True"
        return operand, f"`{what}` plays no part in `{of}`, of which `grad` is asked", wish
    if plain is None or call is None:
        return None
    name = short(plain.spelled)
    if "One of the differentiated Tensors does not require grad" in event.message:
        return plain, f"`grad` is asked for `{name}`, which does not require one", _recorded(plain, operands[0])
    if call.function in ("retain_grad", "register_hook", "register_post_accumulate_grad_hook"):
        return plain, f"`{call.function}` of `{name}`, which does not require a gradient", ""
    return None

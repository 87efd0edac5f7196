"""TCK406."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.differentiation import Held, Used
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.lineage import Step
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short

_ASSIGNED = re.compile(r"^(?P<target>[\w.]+)\s*=[^=]\s*(?P<value>[\w.]+)$")


class BackwardTwice(Rule[Crashed]):
    """A loss leads into a part of the graph that an earlier `backward` has already freed.

    ## What it does
    Explains `Trying to backward through the graph a second time`: whether it is the same loss again, a tensor that two
    losses share, or a state that one step hands on to the next with its graph, and which variable that is.

    ## Why it matters
    `backward` frees what the forward pass had saved, once it has used it. The message names neither the tensor that
    leads back there nor the earlier `backward`; its advice, `retain_graph=True`, is wrong for a state that is kept over
    steps: then the graph grows from step to step.

    ## Example
    ```python
    model = nn.RNN(3, 4)
    with tensorcheck.watch(model) as watch:
        state = None
        for _ in range(2):
            output, state = model(torch.rand(5, 2, 3), state)
            output.sum().backward()
    ```

    ## Use instead
    ```python
    model = nn.RNN(3, 4)
    with tensorcheck.watch(model) as watch:
        state = None
        for _ in range(2):
            output, state = model(torch.rand(5, 2, 3), state)
            output.sum().backward()
            state = state.detach()
    ```

    ## Limits
    Without a watch, what an earlier `backward` freed is told by the order of the lines.
    """

    code = "TCK406"
    name = "backward-twice"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name what leads into the freed graph."""
        if "backward through the graph a second time" not in event.message:
            return
        used = event.differentiation.used if event.differentiation is not None else None
        loss = short(event.loss.spelled) if event.loss is not None else "loss"
        carried = next(iter(used.carried), None) if used is not None else None
        shared = (
            [held for held in used.held if carried is None or held.name != carried.name] if used is not None else []
        )
        if used is None or used.is_whole or not (shared or carried):
            yield self._again(event, loss, used)
        elif carried is None or (shared and carried.name not in {held.name for held in used.held}):
            yield self._shared(event, used, shared[0], loss)
        else:
            yield self._carried(event, carried, loss)

    def _again(self, event: Crashed, loss: str, used: Used | None) -> Finding:
        is_same = used is not None and any(site.code.startswith(f"{loss}.backward(") for site in used.earlier)
        shared = [held for held in used.held if held.name != loss] if used is not None and not is_same else []
        return self.finding(
            f"`{loss}` leads into a graph that an earlier backward has freed",
            label="goes through it once more",
            expected="each part of the graph goes through backward once",
            got=f"all that `{loss}` is computed from went through it before" if used is not None else "",
            site=event.site,
            related=(*_earlier(used), *_made(shared[:1])),
            notes=_nodes(used),
            help=_kept(used, event.loss, is_same=is_same) if used is not None and event.loss is not None else "",
        )

    def _shared(self, event: Crashed, used: Used, held: Held, loss: str) -> Finding:
        name, earlier = short(held.name), used.earlier[-1:]
        first = f"{earlier[0].code[:-1]}retain_graph=True)" if earlier and earlier[0].code.endswith("()") else ""
        keep = f"{first}    or `{name}.detach()` in one of the two" if first else _apart(used) or _anew(held)
        return self.finding(
            first_that_fits(
                f"`{loss}` needs the graph of `{name}`, which an earlier backward has freed",
                f"`{name}` belongs to a graph that an earlier backward has freed",
            ),
            label=f"goes through `{name}` once more",
            expected=f"`{name}` goes through backward once",
            got=f"{'two losses lead' if earlier or used.elsewhere else 'each loss leads'} to `{name}`",
            site=event.site,
            related=(*_elsewhere(used), *_made([held]), *_earlier(used)),
            notes=_nodes(used),
            help=keep,
        )

    def _carried(self, event: Crashed, carried: Held, loss: str) -> Finding:
        name = short(_whole(carried))
        is_sum = name == loss
        return self.finding(
            first_that_fits(
                f"`{name}` brings the graph of the step before along, which backward has freed",
                f"`{name}` brings a freed graph along",
            ),
            label=f"goes back through `{name}`",
            expected=f"`{name}` without the graph of the step before",
            got=f"`{name}` with all that it was computed from",
            site=event.site,
            related=_made([carried], "is handed on to the next step here, with its graph"),
            help="" if is_sum else _detached(carried),
        )


def _kept(used: Used, loss: Operand, *, is_same: bool) -> str:
    """Of one loss that goes through backward twice, the first call; in a loop, the statement that is to be repeated."""
    first, made = used.earlier[-1:], loss.lineage.ancestors[1:2]
    if is_same and first and first[0].code == f"{loss.spelled}.backward()":
        return f"{first[0].code[:-1]}retain_graph=True)    at {first[0].file}:{first[0].line}, if both are meant"
    is_alone = not first and all(held.name == loss.spelled for held in used.held)
    for each in made if is_alone else ():
        if each.step is Step.ASSIGNED and each.name == loss.spelled and each.site is not None:
            return f"{each.name} = {each.site.code}    before each backward"
    return ""


def _apart(used: Used) -> str:
    """The call before the earlier backward, with its part of the graph left out."""
    for each in used.elsewhere[:1]:
        where = f"in {each.use.function}" if each.use.function else "there"
        return f"{each.detached}    {where}, if that backward is not to reach what made `{each.name}`"
    return ""


def _elsewhere(used: Used) -> tuple[Related, ...]:
    """Where another function leads its own backward through the same tensor."""
    return tuple(
        place
        for each in used.elsewhere[:1]
        for place in (
            Related(each.backward, f"the earlier backward, through `{each.name}`"),
            Related(each.use, "which is used here with its graph"),
        )
    )


def _anew(held: Held) -> str:
    """The statement that made it, which the step has to repeat."""
    code, name = held.site.code if held.site is not None else "", short(held.name)
    again = f"{name} = {code}    in each step" if code and name.isidentifier() else f"compute `{name}` in each step"
    return f"{again}, or `{name}.detach()` if it is to stay as it is"


def _detached(carried: Held) -> str:
    """The statement that hands the state on, without its graph."""
    code, name = carried.site.code if carried.site is not None else "", _whole(carried)
    assigned = _ASSIGNED.match(code)
    if name != carried.name:
        return f"{name} = tuple(each.detach() for each in {name})    before it is used again"
    if assigned is not None and assigned["target"] == name:
        return f"{code}.detach()"
    return f"{name} = {name}.detach()    before it is used again"


def _whole(held: Held) -> str:
    """The variable or attribute: `model.state` of `model.state[0]`."""
    return held.name.partition("[")[0]


def _made(held: list[Held], what: str = "is made here") -> tuple[Related, ...]:
    return tuple(Related(each.site, f"`{short(_whole(each))}` {what}") for each in held if each.site is not None)


def _earlier(used: Used | None) -> tuple[Related, ...]:
    return tuple(Related(site, "an earlier backward is called here") for site in (used.earlier[-1:] if used else ()))


def _nodes(used: Used | None) -> tuple[str, ...]:
    """Where the freed part was computed, as far as it was traced."""
    made = [node for node in (used.nodes if used is not None else ()) if node.made is not None]
    lines = [f"`{node.functions[0]}` at {node.made}: {node.made.code}" for node in made[:1] if node.made is not None]
    return tuple(f"the freed part ends with {line}" for line in lines)

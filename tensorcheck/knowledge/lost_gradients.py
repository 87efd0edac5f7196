"""How a reader is told that parameters lost their gradient at an operation."""

from tensorcheck.events.gradients import CutKind, GradientsLost
from tensorcheck.findings import Related
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, short


def is_adversarial(event: GradientsLost) -> bool:
    """Whether it is the generator's turn of two networks that are trained in turns."""
    return event.is_all and event.has_rival


def cut_headline(event: GradientsLost, verb: str, site: Site | None = None) -> str:
    """How many parameters got no gradient, and which of the user's expressions is why."""
    by = site or event.cut.operation.site
    count, code = counted(len(event.cut.names), "parameter"), by.code if by is not None else event.cut.operation.name
    return first_that_fits(
        f"{count} got no gradient: `{code}` {verb}",
        f"{count} got no gradient: `{short(code)}` {verb}",
        f"{count} got no gradient: `{event.cut.operation.name}` {verb}",
        f"{count} got no gradient",
    )


def got(event: GradientsLost) -> str:
    """What the operation gave."""
    if event.cut.got is None:
        return f"a number without a gradient, from `{event.cut.operation.name}`"
    return f"{event.cut.got.notation} without grad, from `{event.cut.operation.name}`"


def backward_at(event: GradientsLost) -> tuple[Related, ...]:
    """Where it shows."""
    made = event.cut.operation.site if event.cut.kind is not CutKind.SWITCHED_OFF else event.cut.operation.grad_off
    if event.backward is None or (made is not None and made.line == event.backward.line):
        return ()
    return (Related(event.backward, "`backward` does not reach them from here"),)


def without_cut(site: Site | None) -> str:
    """The line without what cuts the graph, where it ends in that.

    >>> without_cut(Site("net.py", 3, code="z.detach()", source="        z = z.detach()"))
    'z = z'
    >>> without_cut(Site("net.py", 3, code="z.detach()", source="        return f(z.detach())"))
    'return f(z)'
    """
    line = site.source.strip() if site is not None else ""
    for end in (".detach()", ".data", ".item()"):
        if site is not None and site.code.endswith(end) and line.count(site.code) == 1:
            return line.replace(site.code, site.code.removesuffix(end))
    return ""

"""TCK421."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed
from tensorcheck.events.optimizer import GivenTwice
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, listed

_TIMES = 2


class ParameterGivenTwice(Rule[LoopFollowed | GivenTwice]):
    """The same parameter is stepped twice with one gradient.

    ## What it does
    Finds parameters that stand twice in a group of an optimizer, and two optimizers that hold the same parameter and
    both step between one `backward` and the next.

    ## Why it matters
    Such a parameter moves twice as far as the others, or by two rules of which the second starts where the first has
    just moved it. Momentum and weight decay count twice too.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    whole = torch.optim.SGD(model.parameters(), lr=0.1)
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            whole.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            whole.step()
            head.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    body = torch.optim.SGD(model[0].parameters(), lr=0.1)
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            model.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            body.step()
            head.step()
    ```

    ## Limits
    Optimizers that share a parameter and take turns, each after a `backward` of its own, are silent, and so is one that
    wraps another.
    """

    code = "TCK421"
    name = "parameter-given-twice"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LoopFollowed | GivenTwice) -> Iterator[Finding]:
        """Look at what was given to one, and at which step together."""
        match event:
            case GivenTwice():
                yield self._one(event)
            case LoopFollowed():
                yield from self._two(event)

    def _one(self, event: GivenTwice) -> Finding:
        count = len(event.names)
        return self.finding(
            f"`{event.kind}` holds {counted(count, 'parameter')} twice",
            label="steps them twice",
            expected="each parameter once",
            got=f"twice in one group: {listed(event.names)}",
            site=event.built or event.site,
            related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
        )

    def _two(self, event: LoopFollowed) -> Iterator[Finding]:
        for later, optimizer in enumerate(event.optimizers):
            for earlier, names in optimizer.shared:
                other = event.optimizers[earlier]
                steps = _together(event.calls, earlier, later)
                if not steps or optimizer.takes_closure or other.takes_closure or not any(names):
                    continue
                built = [(each.built, f"`{each.kind}` is built here") for each in (other, optimizer)]
                yield self.finding(
                    f"two optimizers step {counted(len(names), 'parameter')} after each backward pass",
                    label="steps them a second time",
                    expected="each parameter in one optimizer",
                    got=f"in both: {listed([name for name in names if name])}",
                    site=steps[1].site,
                    related=tuple(
                        Related(site, note)
                        for site, note in [(steps[0].site, "stepped the first time here"), *built]
                        if site is not None
                    ),
                )


def _together(calls: Sequence[LoopCall], one: int, other: int) -> tuple[LoopCall, LoopCall] | None:
    """Two steps with the same gradients, if nearly all of their steps are like this."""
    pairs, waiting, alone = [], dict[int, LoopCall](), 0
    for call in calls:
        if call.kind is CallKind.STEP and call.optimizers[:1] and call.optimizers[0] in (one, other):
            if call.has_gradients and not call.is_skipped and not call.is_by_hand:
                waiting[call.optimizers[0]] = call
            if len(waiting) > 1:
                pairs.append(tuple(waiting.values()))
                waiting = {}
        elif call.kind in (CallKind.BACKWARD, CallKind.ZEROED):
            alone += bool(waiting)
            waiting = {}
    first = pairs[0] if len(pairs) >= _TIMES and not alone else None
    return (first[0], first[1]) if first is not None else None

"""TCK425."""

from collections.abc import Iterator

from tensorcheck.events.loop import CallKind, LoopFollowed, LoopOptimizer
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.call_order import Round, is_one_site, of_kind, rounds, watched
from tensorcheck.rule import Rule

_ROUNDS = 3


class StepBeforeBackward(Rule[LoopFollowed]):
    """The optimizer steps before the backward pass of the same iteration.

    ## What it does
    Follows the first steps of a loop. Finds an optimizer whose first step comes before any gradient, and whose same
    line then steps once for each `backward`.

    ## Why it matters
    The first step does nothing, each later one uses the gradients of the iteration before, and those of the last batch
    are never used. Where `zero_grad` stands between the two, no step ever has gradients.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            loss = model(torch.rand(16, 4)).square().mean()
            optimizer.step()
            optimizer.zero_grad()
            loss.backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    ```

    ## Limits
    A first step at another line, which some take to fill an optimizer's state, is silent, and so is an accumulation
    whose step stands at the head of the loop.
    """

    code = "TCK425"
    name = "step-before-backward"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LoopFollowed) -> Iterator[Finding]:
        """Look at each optimizer's first steps."""
        for number in watched(event):
            all_rounds = rounds(event.calls, number)
            if len(all_rounds) >= _ROUNDS and _is_ahead(all_rounds):
                yield self._finding(all_rounds, event.optimizers[number])

    def _finding(self, all_rounds: list[Round], optimizer: LoopOptimizer) -> Finding:
        step, backward = all_rounds[0][-1], of_kind(all_rounds[1], CallKind.BACKWARD)[0]
        never = not any(each[-1].has_gradients for each in all_rounds)
        used = "no step has any gradients" if never else "each step uses the gradients of the iteration before"
        related = [(backward.site, "the gradients arrive only here")]
        return self.finding(
            f"`{optimizer.kind}` steps before the backward pass of its iteration",
            label="steps first",
            expected="backward(), then step()",
            got=f"step(), then backward(): {used}",
            site=step.site,
            related=tuple(Related(site, note) for site, note in related if site is not None),
            help=_help(step.site.code if step.site else "", backward.site.code if backward.site else ""),
        )


def _is_ahead(all_rounds: list[Round]) -> bool:
    first, *later = all_rounds
    steps = [each[-1] for each in all_rounds]
    is_plain = not any(step.is_skipped or step.is_by_hand for step in steps)
    is_empty = len(first) == 1 and not first[0].has_gradients
    is_each = all(len(of_kind(each, CallKind.BACKWARD)) == 1 for each in later)
    return is_empty and is_plain and is_each and is_one_site(steps)


def _help(step: str, backward: str) -> str:
    return f"{step}    after {backward}" if step.endswith(")") and backward.endswith(")") else ""

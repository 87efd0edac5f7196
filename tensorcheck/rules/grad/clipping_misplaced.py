"""TCK428."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.call_order import Round, is_one_site, of_kind, rounds, watched
from tensorcheck.rule import Rule

_ROUNDS = 3
_TIMES = 2


class ClippingMisplaced(Rule[LoopFollowed]):
    """Gradients are clipped where no step sees it.

    ## What it does
    Follows the first steps of a loop and finds `clip_grad_norm_` and `clip_grad_value_` that come before `backward` or
    after `step`, and those that are given parameters without gradients which no optimizer holds.

    ## Why it matters
    The optimizer steps with gradients that nothing has clipped. The loop reads as if it were safe against exploding
    gradients, and is not.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            loss.backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    ```

    ## Limits
    A clipping written by hand is not seen. One that is given an iterator that is used up by reading it is seen only
    where it finds gradients.
    """

    code = "TCK428"
    name = "clipping-misplaced"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LoopFollowed) -> Iterator[Finding]:
        """Look at where each optimizer's gradients are clipped, and at clippings of nobody's."""
        said: set[object] = set()
        for number in watched(event):
            all_rounds = rounds(event.calls, number)
            clipped = of_kind([call for each in all_rounds for call in each], CallKind.CLIPPED)
            if len(all_rounds) >= _ROUNDS and clipped and clipped[0].site not in said and _is_unseen(all_rounds):
                said.add(clipped[0].site)
                yield self._misplaced(all_rounds, clipped[0], event.optimizers[number].kind)
        yield from self._of_others(event)

    def _misplaced(self, all_rounds: Sequence[Round], clipped: LoopCall, kind: str) -> Finding:
        is_before = any(call.kind is CallKind.CLIPPED for call in all_rounds[0])
        where = "before the backward pass" if is_before else f"after `{kind}` has stepped"
        backward = of_kind(all_rounds[0], CallKind.BACKWARD)
        related = [
            *((call, "the gradients arrive here") for call in backward[:1]),
            (all_rounds[0][-1], "it steps here"),
        ]
        return self.finding(
            f"gradients are clipped {where}",
            label="clips what no step uses",
            expected="backward(), then the clipping, then step()",
            got="the clipping, backward(), step()" if is_before else "backward(), step(), then the clipping",
            site=clipped.site,
            related=tuple(Related(call.site, note) for call, note in related if call.site is not None),
            help=_help(clipped, backward),
        )

    def _of_others(self, event: LoopFollowed) -> Iterator[Finding]:
        useless = [call for call in event.calls if call.kind is CallKind.CLIPPED and _is_of_nobody(call)]
        for site in dict.fromkeys(call.site for call in useless):
            here = [call for call in event.calls if call.kind is CallKind.CLIPPED and call.site == site]
            steps = _steps_after(event.calls, here)
            if site is not None and len(here) >= _TIMES and all(map(_is_of_nobody, here)) and steps:
                yield self.finding(
                    "clips parameters without gradients, which no optimizer holds",
                    label="clips nothing",
                    expected="the parameters that are stepped",
                    got="parameters without gradients that are in no optimizer",
                    site=site,
                    related=tuple(Related(step.site, "others are stepped here") for step in steps[:1] if step.site),
                )


def _is_unseen(all_rounds: Sequence[Round]) -> bool:
    """Whether each clipping came before the gradients of its step, or after the step."""
    later = all_rounds[1:]
    return all(_is_ahead(each) for each in all_rounds) and all(of_kind(each, CallKind.CLIPPED) for each in later)


def _is_ahead(one: Round) -> bool:
    kinds = [call.kind for call in one]
    if CallKind.BACKWARD not in kinds or not one[-1].has_gradients or one[-1].is_by_hand or one[-1].is_skipped:
        return False
    return CallKind.CLIPPED not in kinds[kinds.index(CallKind.BACKWARD) :]


def _is_of_nobody(call: LoopCall) -> bool:
    return not call.optimizers and not call.has_gradients


def _steps_after(calls: Sequence[LoopCall], here: Sequence[LoopCall]) -> list[LoopCall]:
    """The steps of one line that use gradients just after these calls."""
    places = [place for place, call in enumerate(calls) if any(call is each for each in here)]
    followers = [next((call for call in calls[place:] if call.kind is CallKind.STEP), None) for place in places]
    steps = [step for step in followers if step is not None and step.has_gradients and not step.is_by_hand]
    return steps if len(steps) >= _TIMES and is_one_site(steps) else []


def _help(clipped: LoopCall, backward: Sequence[LoopCall]) -> str:
    codes = [call.site.code for call in (clipped, *backward[:1]) if call.site is not None]
    is_whole = len(codes) > 1 and all(code.endswith(")") for code in codes)
    return f"{codes[0]}    after {codes[1]}" if is_whole else ""

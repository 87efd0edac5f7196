"""TCK424."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed, LoopOptimizer
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.call_order import Round, is_one_site, of_kind, rounds, watched
from tensorcheck.rule import Rule

_ROUNDS = 2
"""From step to step so often it has to be seen, and nothing else."""


class ZeroedBeforeStep(Rule[LoopFollowed]):
    """Gradients are zeroed before the optimizer has used them.

    ## What it does
    Follows the first steps of a loop and finds a `zero_grad` between `backward` and `step`, after which the step has no
    gradients; and a `zero_grad` in each micro-batch of a gradient accumulation, after which the last one alone counts.

    ## Why it matters
    In the first case nothing is learned at all. In the second, all micro-batches but one are computed in vain, and the
    effective batch is as small as one of them.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
    ```

    ## Limits
    Two steps in a row must show it. Gradients that the loop itself changes or merges, steps that a gradient scaler left
    out, and steps with a closure are silent.
    """

    code = "TCK424"
    name = "zeroed-before-step"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: LoopFollowed) -> Iterator[Finding]:
        """Look at each optimizer's steps."""
        for number in watched(event):
            all_rounds = rounds(event.calls, number)
            if len(all_rounds) < _ROUNDS:
                continue
            optimizer, known = event.optimizers[number], [each for each in all_rounds if _is_known(each)]
            if all(_is_emptied(each) for each in all_rounds):
                yield self._emptied(all_rounds[0], optimizer)
            elif _is_last_alone(known) and not _others_step_between(event.calls, number):
                yield self._last_alone(all_rounds[0], optimizer)

    def _emptied(self, first: Round, optimizer: LoopOptimizer) -> Finding:
        zeroed, step = of_kind(first, CallKind.ZEROED)[-1], first[-1]
        return self.finding(
            f"the gradients are zeroed before `{optimizer.kind}` steps",
            label="zeroes what the step needs",
            expected="zero_grad(), backward(), step()",
            got="backward(), zero_grad(), step()",
            site=zeroed.site,
            related=tuple(_places([(of_kind(first, CallKind.BACKWARD)[-1], _ARRIVE), (step, "it steps without any")])),
            help=f"{_spelled(zeroed)}    before {_spelled(of_kind(first, CallKind.BACKWARD)[-1], 'backward()')}",
        )

    def _last_alone(self, first: Round, optimizer: LoopOptimizer) -> Finding:
        zeroed, backward = of_kind(first, CallKind.ZEROED)[-1], of_kind(first, CallKind.BACKWARD)
        return self.finding(
            f"of {len(backward)} backward passes before a step, only the last one counts",
            label="zeroes what was accumulated",
            expected=f"one zero_grad for each step of `{optimizer.kind}`",
            got=f"one zero_grad for each backward, {len(backward)} for each step",
            site=zeroed.site,
            related=tuple(_places([(backward[-1], _ARRIVE), (first[-1], f"it steps after {len(backward)} of these")])),
            help=f"{_spelled(zeroed)}    after {_spelled(first[-1], 'step()')} alone",
        )


_ARRIVE = "the gradients arrive here"


def _places(calls: Sequence[tuple[LoopCall, str]]) -> Iterator[Related]:
    return (Related(call.site, note) for call, note in calls if call.site is not None)


def _spelled(call: LoopCall, otherwise: str = "optimizer.zero_grad()") -> str:
    return call.site.code if call.site is not None and call.site.code.endswith(")") else otherwise


def _is_emptied(one: Round) -> bool:
    """Whether gradients came, were zeroed, and the step found none."""
    kinds = [call.kind for call in one if call.kind in (CallKind.BACKWARD, CallKind.ZEROED)]
    step = one[-1]
    is_empty = not step.has_gradients and not step.is_by_hand and not step.is_skipped
    return is_empty and kinds[-2:] == [CallKind.BACKWARD, CallKind.ZEROED]


def _is_last_alone(all_rounds: Sequence[Round]) -> bool:
    """Whether each of several backward passes was followed by the same `zero_grad`, but for the last."""
    calls = [call for each in all_rounds for call in each]
    is_alike = is_one_site(of_kind(calls, CallKind.BACKWARD)) and is_one_site(of_kind(calls, CallKind.ZEROED))
    return is_alike and len(all_rounds) >= _ROUNDS and all(_is_accumulation(each) for each in all_rounds)


def _is_known(one: Round) -> bool:
    """Whether it was looked at what each backward pass reaches, as it is in the first of a run."""
    return all(call.reads_older_graph is not None for call in of_kind(one, CallKind.BACKWARD))


def _is_accumulation(one: Round) -> bool:
    kinds = [call.kind for call in one if call.kind in (CallKind.BACKWARD, CallKind.ZEROED)]
    first = kinds.index(CallKind.BACKWARD) if CallKind.BACKWARD in kinds else len(kinds)
    passes = kinds[first:]
    alternates = passes[::2] == [CallKind.BACKWARD] * len(passes[::2]) and CallKind.BACKWARD not in passes[1::2]
    step, backwards = one[-1], of_kind(one, CallKind.BACKWARD)
    is_plain = step.has_gradients and not step.is_by_hand and not step.is_skipped
    is_own = not any(call.reaches_others for call in backwards)
    return is_plain and is_own and alternates and len(passes) % 2 == 1 and len(backwards) > 1


def _others_step_between(calls: Sequence[LoopCall], number: int) -> bool:
    """Whether the step of another optimizer may have used what was zeroed."""
    return any(call.kind is CallKind.STEP and number not in call.optimizers for call in calls)

"""What was seen of one optimizer step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.elementwise import is_loss, operands
from tensorcheck.findings import Finding
from tensorcheck.render.harmless import harmless
from tensorcheck.trace import Operation, Trace


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step, counted from 0 as findings count them: its operations if it was traced, and what was first found in it.

    >>> print(StepSeen(3, Trace(3), ()))
    step 3: 0 operations
    >>> print(StepSeen(7, None, ()))
    step 7: not traced
    """

    step: int
    trace: Trace | None
    findings: tuple[Finding, ...]
    """Those that were first made in it."""

    @property
    def losses(self) -> tuple[Operation, ...]:
        """The losses of `torch.nn.functional` that were computed in it, if it was traced.

        >>> StepSeen(3, Trace(3), ()).losses
        ()
        """
        return tuple(each for each in self.trace.operations if is_loss(each)) if self.trace is not None else ()

    def __str__(self) -> str:
        return "\n".join(map(harmless, self._lines()))

    def _lines(self) -> Iterator[str]:
        made = "not traced" if self.trace is None else f"{len(self.trace.operations):,} operations"
        yield f"step {self.step}: {made}"
        for finding in self.findings:
            yield f"  found first: {finding.severity.value}[{finding.rule}] {finding.headline}"
        if self.trace is not None:
            yield from (f"  loss: {_loss_line(self.trace, loss)}" for loss in self.losses)
            yield from (f"  {line}" for line in str(self.trace).splitlines())


def _loss_line(trace: Trace, loss: Operation) -> str:
    given = ", ".join(operand.meta.notation for operand in operands(trace, loss))
    made = ", ".join(trace.values[place].meta.notation for place in loss.outputs)
    return f"{loss}: {given} -> {made}"


def step_seen(step: int, traces: Sequence[Trace], findings: Sequence[Finding]) -> StepSeen:
    """What was seen of a step; a `LookupError` says that nothing was, and which steps were traced.

    >>> step_seen(9, [Trace(0), Trace(1)], [])
    Traceback (most recent call last):
    LookupError: step 9 was not traced and nothing was first found in it; traced were the steps 0 and 1
    """
    trace = next((trace for trace in reversed(traces) if trace.step == step), None)
    first = tuple(finding for finding in findings if finding.first_step == step)
    if trace is None and not first:
        msg = f"step {step} was not traced and nothing was first found in it; {_traced(traces)}"
        raise LookupError(msg)
    return StepSeen(step, trace, first)


def _traced(traces: Sequence[Trace]) -> str:
    if not traces:
        return "no step was traced"
    *others, last = sorted({trace.step for trace in traces})
    return f"traced were the steps {', '.join(map(str, others))} and {last}" if others else f"traced was step {last}"

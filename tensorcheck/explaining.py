"""`tensorcheck.explain`: an exception, explained when nothing was watching."""

from dataclasses import replace

import tensorcheck
from tensorcheck.catalogue import entries, with_rules
from tensorcheck.events.crash import Crashed
from tensorcheck.events.internal import ProbeFailed
from tensorcheck.experiment.trials import NAME as FIX_TRIALS
from tensorcheck.experiment.trials import FixTrials, answered
from tensorcheck.findings import Finding
from tensorcheck.judge import Judge
from tensorcheck.observe.at_hand import exception_at_hand
from tensorcheck.observe.crashes import crash_of
from tensorcheck.observe.environment import environment
from tensorcheck.observe.frames import Sites
from tensorcheck.record import Coverage, Record, Skipped
from tensorcheck.report import Report


def explain(error: BaseException | None = None, *, experiments: bool = True) -> Report:
    """Explain an exception from its traceback alone; without one, the one that is looked at.

    That is the one that a debugger was opened on, the one being handled, or the last at the prompt or in a cell. The
    change that is proposed was tried on a copy of the model, unless `experiments` is False. A `LookupError` says that
    there was no exception.

    >>> import torch
    >>> try:
    ...     _ = torch.nn.Linear(784, 10)(torch.zeros(32, 3136))
    ... except RuntimeError as error:
    ...     report = explain(error)
    >>> [finding.headline for finding in report.findings]
    ['`Linear` got 3136 features but was built for 784']
    """
    error = error or exception_at_hand()
    if error is None:
        msg = "there is no exception to explain: none is being handled, and none has reached the prompt"
        raise LookupError(msg)
    crash = crash_of(error, "elsewhere", Sites())
    failed = [ProbeFailed(crash.step, read.part, read.traceback) for read in crash.faults]
    judge = Judge(entries())
    findings = tuple(finding for event in (crash, *failed) for finding in judge.judge(event))
    unknown = () if findings else (Skipped(f"{crash.error}: {crash.message}", "no rule knows this exception"),)
    coverage = Coverage(skipped=unknown)
    if experiments:
        findings, coverage = _tried(findings, error, crash, coverage)
    record = Record(tensorcheck.__version__, environment=environment(), findings=findings, coverage=coverage)
    return Report(with_rules(record))


def _tried(
    findings: tuple[Finding, ...], error: BaseException, crash: Crashed, coverage: Coverage
) -> tuple[tuple[Finding, ...], Coverage]:
    """The findings with the help that passed on a copy, and what was tried and what was not."""
    skipped: dict[Skipped, None] = dict.fromkeys(coverage.skipped)
    trials = FixTrials(error, crash, lambda what, why: skipped.setdefault(Skipped(what, why)))
    try:
        answers = tuple(trials.answers(findings))
    except Exception as fault:  # noqa: BLE001 - the findings do not need it
        skipped[Skipped(FIX_TRIALS, f"it raised {type(fault).__name__}: {fault}")] = None
        answers = ()
    made = (FIX_TRIALS,) if trials.were_made else ()
    return (
        tuple(answered(finding, answers) for finding in findings),
        replace(coverage, experiments=made, skipped=tuple(skipped)),
    )

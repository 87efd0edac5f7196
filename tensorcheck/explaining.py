"""`tensorcheck.explain`: an exception, explained when nothing was watching."""

import sys

import tensorcheck
from tensorcheck.catalogue import all_rules
from tensorcheck.judge import Judge
from tensorcheck.observe.crashes import crash_of
from tensorcheck.observe.environment import environment
from tensorcheck.observe.frames import Sites
from tensorcheck.record import Coverage, Record, Skipped
from tensorcheck.report import Report


def explain(error: BaseException | None = None) -> Report:
    """Explain an exception from its traceback alone; without one, the one being handled or the last at the prompt.

    A `LookupError` says that there was none.

    >>> import torch
    >>> try:
    ...     _ = torch.nn.Linear(784, 10)(torch.zeros(32, 3136))
    ... except RuntimeError as error:
    ...     report = explain(error)
    >>> [finding.headline for finding in report.findings]
    ['`Linear` got 3136 features but was built for 784']
    """
    error = error or sys.exc_info()[1] or getattr(sys, "last_value", None)
    if error is None:
        msg = "there is no exception to explain: none is being handled, and none has reached the prompt"
        raise LookupError(msg)
    crash = crash_of(error, "elsewhere", Sites())
    findings = tuple(Judge(all_rules()).judge(crash))
    unknown = () if findings else (Skipped(f"{crash.error}: {crash.message}", "no rule knows this exception"),)
    coverage = Coverage(skipped=unknown)
    return Report(Record(tensorcheck.__version__, environment=environment(), findings=findings, coverage=coverage))

"""What a record says in a few words, for a person; the text and the page share them."""

from collections.abc import Iterator

from tensorcheck.findings import Finding, Severity
from tensorcheck.preflights import Preflight
from tensorcheck.record import Coverage, Record
from tensorcheck.render.harmless import harmless

_PLURALS = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.INFO: "info"}


def worst_first(record: Record) -> list[Finding]:
    """The findings in the order in which they are read; equally severe ones as they were made.

    >>> worst_first(Record(version="0.1.0"))
    []
    """
    return sorted(record.findings, key=lambda finding: finding.severity.rank, reverse=True)


def summary(record: Record) -> str:
    """How many findings there are of each severity, or that there are none.

    >>> summary(Record(version="0.1.0", coverage=Coverage(models=1, steps=3)))
    'no findings'
    >>> summary(Record(version="0.1.0"))
    'no findings, and no model and no step was seen'
    """
    counts = [
        f"{count} {severity.value if count == 1 else _PLURALS[severity]}"
        for severity, count in record.counts.items()
        if count
    ]
    if counts:
        return ", ".join(counts)
    return "no findings" if saw_anything(record.coverage) else "no findings, and no model and no step was seen"


def saw_anything(coverage: Coverage) -> bool:
    """Whether there was a model or a step to judge.

    >>> saw_anything(Coverage(steps=1)), saw_anything(Coverage())
    (True, False)
    """
    return bool(coverage.models or coverage.steps)


def seen(coverage: Coverage) -> str:
    """What was looked at, and what that cost.

    >>> seen(Coverage(models=1, steps=120, traced=3, cost=0.004))
    "1 model, 120 steps, 3 of them traced, for 0.4% of the run's time"
    """
    return ", ".join(_seen(coverage))


def _seen(coverage: Coverage) -> Iterator[str]:
    yield plural(coverage.models, "model")
    yield plural(coverage.steps, "step")
    if coverage.steps:
        yield f"{coverage.traced or 'none'} of them traced"
    if coverage.cost is not None:
        yield f"for {coverage.cost:.1%} of the run's time"


def step(preflight: Preflight) -> str:
    """How far a step went that was made without values.

    >>> step(Preflight(passed=("forward", "loss"), failure="RuntimeError: one of the variables was modified"))
    'the forward and the loss pass; then RuntimeError: one of the variables was modified'
    """
    names = [f"the {name}" for name in preflight.passed]
    together = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    passed = f"{together} pass{'' if len(names) > 1 else 'es'}" if names else ""
    end = preflight.failure or preflight.stop
    return "; then ".join(filter(None, (passed, end)))


def weights(preflight: Preflight) -> str:
    """How many parameters there are.

    >>> weights(Preflight(parameters=31400, trainable=0))
    '31,400 parameters, none of them trainable'
    """
    trainable = "all" if preflight.trainable == preflight.parameters else f"{preflight.trainable:,}"
    return f"{preflight.parameters:,} parameters, {trainable if preflight.trainable else 'none'} of them trainable"


def versions(record: Record) -> str:
    """The versions, and the devices that were there.

    >>> versions(Record(version="0.1.0"))
    'tensorcheck 0.1.0'
    """
    parts = (
        ("tensorcheck", record.version),
        ("torch", record.environment.torch),
        ("python", record.environment.python),
    )
    versions = [f"{name} {version}" for name, version in parts if version]
    devices = record.environment.devices
    return ", ".join([*versions, f"on {' and '.join(devices)}"] if devices else versions)


def repeated(finding: Finding) -> str:
    """How often a finding was made and in which steps; empty where it was made once.

    >>> repeated(Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", count=3, first_step=0, last_step=7))
    '3 times, from step 0 to step 7'
    """
    if finding.count == 1:
        return ""
    if finding.first_step == finding.last_step:
        return f"{finding.count} times in step {finding.first_step}"
    return f"{finding.count} times, from step {finding.first_step} to step {finding.last_step}"


def in_lines(finding: Finding) -> list[str]:
    """The whole finding in lines of plain text, for a place that has no layout; the first is a sentence of its own.

    >>> in_lines(Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", help="loss.mean()", tried="the loss"))
    ['It grows.', 'Help: loss.mean() (tried: the loss)']
    """
    return [harmless(line) for line in _in_lines(finding)]


def _in_lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.headline}."
    for name, text in (("Expected", finding.expected), ("Got", finding.got)):
        if text:
            value, _, why = text.partition("  ")
            yield f"{name}: {value} ({why.strip()})" if why.strip() else f"{name}: {value}"
    for note in finding.notes:
        yield from f"Note: {note}".split("\n")
    if finding.help:
        yield from f"Help: {finding.help}{tried(finding)}".split("\n")


def tried(finding: Finding) -> str:
    """What passed with the help, in brackets after a space; empty where it was not tried.

    >>> tried(Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", tried="the loss"))
    ' (tried: the loss)'
    """
    return f" (tried: {finding.tried})" if finding.tried else ""


def plural(count: int, noun: str, several: str = "") -> str:
    """A number and what it counts.

    >>> plural(1, "step"), plural(1200, "step"), plural(2, "process", "processes")
    ('1 step', '1,200 steps', '2 processes')
    """
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"

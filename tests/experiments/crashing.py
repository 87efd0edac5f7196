"""A crash, the fixes that a rule might propose for it, and what came of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tensorcheck.experiment.trials import FixTrials, answered
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import Fix
from tensorcheck.observe.crashes import crash_of
from tensorcheck.observe.frames import Sites


class Outcome:
    """What became of one finding."""

    def __init__(self, finding: Finding, skipped: list[str]) -> None:
        self.help = finding.help
        self.tried = finding.tried
        self.skipped = skipped


def outcome_of(run: Callable[[], object], *fixes: Fix, certain: str = "") -> Outcome:
    """Run into a crash, and try these fixes; `certain` is the help that the rule gives by itself."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is explained
        finding = Finding("TCK201", "layer-input-features", Severity.ERROR, "It fails", help=certain, fixes=fixes)
        skipped: list[str] = []
        trials = FixTrials(error, crash_of(error, "elsewhere", Sites()), lambda _, why: skipped.append(why))
        answers = tuple(trials.answers([finding]))
        return Outcome(answered(finding, answers), skipped)
    message = "nothing crashed"
    raise AssertionError(message)


@contextmanager
def unchanged(look: Callable[[], object]) -> Iterator[None]:
    """What this returns is the same before and after."""
    before = look()
    yield
    assert look() == before

"""Watches the tests of one pytest run, judges each, and keeps what was found for the end."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tensorcheck.findings import Finding
from tensorcheck.plugin.merging import Gathered
from tensorcheck.plugin.wishes import Wishes, wishes_of_run, wishes_of_test
from tensorcheck.record import Record
from tensorcheck.render.json import document
from tensorcheck.running.arrival import when_imported

if TYPE_CHECKING:
    from tensorcheck.watching import Watch


@dataclass(slots=True)
class WatchedTest:
    """One test that is under way."""

    wishes: Wishes
    stop: Callable[[], None] = lambda: None
    watches: "list[Watch]" = field(default_factory=list)
    """That of the plugin, and those that the test opened by the fixture."""
    told: tuple[Finding, ...] = ()
    is_judged: bool = False

    def close(self) -> None:
        """Stop watching; what is found at the end is known after."""
        self.stop()
        for watch in self.watches:
            watch.close()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, each once."""
        found = {each.fingerprint: each for watch in self.watches for each in watch.findings}
        return tuple(found.values())

    @property
    def bad(self) -> tuple[Finding, ...]:
        """What fails the test."""
        limit = self.wishes.fail_on
        return tuple(
            each for each in self.findings if limit is not None and each.severity >= limit and not self.expects(each)
        )

    def expects(self, finding: Finding) -> bool:
        """Whether this finding is one of those that have to come."""
        return bool(self.wishes.expected) and finding.rule.startswith(self.wishes.expected)

    @property
    def missing(self) -> tuple[str, ...]:
        """The expected codes of which no finding came."""
        return tuple(
            code for code in self.wishes.expected if not any(each.rule.startswith(code) for each in self.findings)
        )


TEST: pytest.StashKey[WatchedTest] = pytest.StashKey()


class Keeper:
    """All that is watched in one process of a test run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._wishes = wishes_of_run(config)
        self._gathered = Gathered()
        self._handles = ExitStack()
        self._optimizers: Any = ()
        self._handles.callback(when_imported("torch", self._torch_arrived))
        self._kind = ""

    def begin(self, *, kind: str) -> None:
        """The run starts; the accelerator is there for all of it, for fixtures may outlive a test."""
        self._kind = kind
        if kind:
            self._handles.callback(when_imported("torch", self._simulate))

    def _simulate(self) -> None:
        from tensorcheck.devices.simulating import simulate_device  # noqa: PLC0415 - it needs PyTorch

        self._handles.enter_context(simulate_device(self._kind))

    def _torch_arrived(self) -> None:
        from tensorcheck.plugin.optimizers import built_optimizers  # noqa: PLC0415 - likewise

        self._optimizers = self._handles.enter_context(built_optimizers())

    @contextmanager
    def watching(self, item: pytest.Item, *, all_of_it: bool) -> Iterator[None]:
        """Watch a test from before its fixtures, or what it asks for itself alone."""
        with ExitStack() as stack:
            try:
                test = WatchedTest(wishes_of_test(item, self._wishes))
            except ValueError as error:
                test = WatchedTest(self._wishes)
                stack.enter_context(_failing(item, str(error)))
            item.stash[TEST] = test
            if test.wishes.simulate_device and not self._kind:
                stack.callback(when_imported("torch", lambda: _simulating(stack, test.wishes.simulate_device)))
            if all_of_it:
                test.stop = when_imported("torch", lambda: self._watch(test))
            stack.callback(self._end, item, test)
            yield

    def _watch(self, test: WatchedTest) -> None:
        from tensorcheck.watching import watch_process  # noqa: PLC0415 - it needs PyTorch

        watch = watch_process(
            list[Finding]().append,
            settings=test.wishes.settings,
            asks_copies=False,
            earlier_optimizers=tuple(self._optimizers),
        )
        test.watches.append(watch)

    def _end(self, item: pytest.Item, test: WatchedTest) -> None:
        test.close()
        self._gathered.add(item.nodeid, test.findings, [watch.report.record for watch in test.watches])
        del item.stash[TEST]

    def watches(self, item: pytest.Item) -> bool:
        """Whether this test is watched."""
        return TEST in item.stash

    def is_expected(self, item: pytest.Item, error: Exception) -> bool:
        """Explain what a test raised; whether that is the finding that the test has to bring."""
        test = item.stash[TEST]
        for watch in test.watches:
            watch.explain(error)
        test.close()
        test.is_judged = True
        return bool(test.wishes.expected) and not test.missing and not test.bad

    def judge(self, item: pytest.Item) -> None:
        """Fail the test by what was found in it."""
        __tracebackhide__ = True
        test = item.stash[TEST]
        raised = getattr(item, "_excinfo", None)  # where unittest puts what its tests raise
        if raised:
            if isinstance(raised[0].value, Exception) and self.is_expected(item, raised[0].value):
                raised.clear()
            return
        test.close()
        test.is_judged = True
        if test.missing:
            found = ", ".join(sorted({each.rule for each in test.findings})) or "nothing"
            pytest.fail(f"tensorcheck: {', '.join(test.missing)} was expected, and {found} was found", pytrace=False)
        if test.bad:
            test.told = test.bad
            pytest.fail(_text(test.bad), pytrace=False)

    def tell(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Add what was found to the report of a test."""
        test = item.stash[TEST]
        if report.when != "call":
            return
        item.user_properties += [(f"tensorcheck.{each.rule}", each.headline) for each in test.findings]
        rest = [each for each in test.findings if each not in test.told]
        if rest and not _is_said(rest, report):
            report.sections.append(("tensorcheck", _text(rest)))

    def finish(self) -> None:
        """Hand what was found to the process that reports."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["tensorcheck"] = json.dumps(
                {"tests": self._gathered.tests, "record": document(self._gathered.record)}
            )

    def merge(self, output: str) -> None:
        """Take what another process found."""
        self._gathered.merge(json.loads(output))

    def summarise(self, terminal: pytest.TerminalReporter) -> None:
        """Say how many tests were watched and what was found, and write the reports."""
        if not self._gathered.tests:
            return
        terminal.write_line(f"tensorcheck: {self._gathered.summary}")
        for path in self._config.getoption("--tensorcheck-report") or self._config.getini("tensorcheck_report"):
            self._save(Path(path), self._gathered.record, terminal)

    @staticmethod
    def _save(path: Path, record: Record, terminal: pytest.TerminalReporter) -> None:
        from tensorcheck.catalogue import with_rules  # noqa: PLC0415 - at the end of a run
        from tensorcheck.report import Report  # noqa: PLC0415 - likewise

        try:
            Report(with_rules(record)).save(path)
        except (OSError, ValueError) as error:
            terminal.write_line(f"tensorcheck: the report {str(path)!r} could not be written: {error}", red=True)
        else:
            terminal.write_line(f"tensorcheck: report in {path}")

    def close(self) -> None:
        """Leave nothing behind."""
        self._handles.close()


def _simulating(stack: ExitStack, kind: str) -> None:
    from tensorcheck.devices.simulating import simulate_device  # noqa: PLC0415 - it needs PyTorch

    stack.enter_context(simulate_device(kind))


@contextmanager
def _failing(item: pytest.Item, why: str) -> Iterator[None]:
    """Within, the test fails for this reason as soon as it is set up."""
    before = item.setup

    def setup() -> None:
        pytest.fail(why, pytrace=False)

    item.setup = setup  # type: ignore[method-assign]  # for this test alone
    try:
        yield
    finally:
        item.setup = before  # type: ignore[method-assign]  # as it was


def _text(findings: "list[Finding] | tuple[Finding, ...]") -> str:
    from tensorcheck.render.text import finding_text  # noqa: PLC0415 - rich starts slowly

    return "\n\n".join(finding_text(each) for each in findings)


def _is_said(findings: list[Finding], report: pytest.TestReport) -> bool:
    """Whether the traceback ends with the notes that say all of it."""
    return report.failed and all(each.headline in report.longreprtext for each in findings)

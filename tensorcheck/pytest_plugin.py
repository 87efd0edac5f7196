"""The pytest plugin: its options, its marker and its fixtures.

pytest imports this in every run of every project that shares the environment, so neither PyTorch nor anything else of
this package is imported before a test wants it.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

    from tensorcheck.plugin.keeper import Keeper
    from tensorcheck.watching import Watch

MARKER = (
    "tensorcheck(ignore=[], select=[], simulate_device=None, fail_on=None, expect=None): watch this test. "
    "With expect, it passes only if a finding of that code comes."
)
_SEVERITIES = ("error", "warning", "never")
_KINDS = ("cuda", "xpu", "mps")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and their ini names; an option wins."""
    group = parser.getgroup("tensorcheck", "tensors: dtype, shape, device and gradients")
    group.addoption("--tensorcheck", action="store_true", help="Watch every test, and fail it on error findings.")
    group.addoption(
        "--tensorcheck-fail-on", choices=_SEVERITIES, help="From which severity on a finding fails its test [error]."
    )
    group.addoption("--tensorcheck-select", action="append", metavar="CODES", help="Only these rules.")
    group.addoption("--tensorcheck-ignore", action="append", metavar="CODES", help="All rules but these.")
    group.addoption(
        "--tensorcheck-report",
        action="append",
        metavar="PATH",
        help="Write the findings of all tests there, by suffix.",
    )
    group.addoption(
        "--tensorcheck-simulate-device", choices=_KINDS, help="Let the tests find an accelerator that is not there."
    )
    group.addoption(
        "--tensorcheck-update", action="store_true", help="Write the contracts of assert_contract instead of comparing."
    )
    parser.addini("tensorcheck", "Watch every test.", type="bool", default=False)
    parser.addini("tensorcheck_fail_on", "As --tensorcheck-fail-on.", default="error")
    parser.addini("tensorcheck_select", "As --tensorcheck-select.", type="args", default=[])
    parser.addini("tensorcheck_ignore", "As --tensorcheck-ignore.", type="args", default=[])
    parser.addini("tensorcheck_report", "As --tensorcheck-report.", type="args", default=[])
    parser.addini("tensorcheck_simulate_device", "As --tensorcheck-simulate-device.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, if that is wanted."""
    config.addinivalue_line("markers", MARKER)
    _refuse_wrong_ini(config)
    if config.getoption("--tensorcheck-update"):
        os.environ["TENSORCHECK_UPDATE"] = "1"
        config.add_cleanup(_end_update)
    if _is_off():
        return
    config.pluginmanager.register(_Tests(config), "tensorcheck-tests")


def _end_update() -> None:
    os.environ.pop("TENSORCHECK_UPDATE", None)


def _is_off() -> bool:
    return os.environ.get("TENSORCHECK") == "0"


def _refuse_wrong_ini(config: pytest.Config) -> None:
    for name, allowed in (("tensorcheck_fail_on", _SEVERITIES), ("tensorcheck_simulate_device", ("", *_KINDS))):
        value = config.getini(name)
        if value not in allowed:
            msg = f"{name}: {value!r} is none of {', '.join(filter(None, allowed))}"
            raise pytest.UsageError(msg)


class _Tests:
    """The hooks around each test; what they do is in `keeper.py`, which is imported with the first that is watched."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._keeper: Keeper | None = None
        self._watches_all = bool(config.getoption("--tensorcheck") or config.getini("tensorcheck"))

    @property
    def keeper(self) -> "Keeper":
        """What watches the tests."""
        if self._keeper is None:
            from tensorcheck.plugin.keeper import Keeper  # noqa: PLC0415 - a project without tensors needs none of it

            self._keeper = Keeper(self._config)
        return self._keeper

    def pytest_sessionstart(self) -> None:
        """Settings that can't be meant stop the run before its first test, and what is simulated is there for it."""
        if self._watches_all or self._kind():
            self.keeper.begin(kind=self._kind())

    def _kind(self) -> str:
        named: str = self._config.getoption("--tensorcheck-simulate-device")
        return named or self._config.getini("tensorcheck_simulate_device")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch from before the fixtures to the end of the test."""
        wants_all = self._watches_all or item.get_closest_marker("tensorcheck") is not None
        if not wants_all and "tensorcheck_watch" not in getattr(item, "fixturenames", ()):
            return (yield)
        with self.keeper.watching(item, all_of_it=wants_all):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judge what the test did."""
        if self._keeper is None or not self._keeper.watches(item):
            return (yield)
        try:
            result = yield
        except Exception as error:
            if self._keeper.is_expected(item, error):
                return None
            raise
        self._keeper.judge(item)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what is known under a failed test."""
        report = yield
        if self._keeper is not None and self._keeper.watches(item):
            self._keeper.tell(item, report)
        if report.failed and call.excinfo is not None and "torch" in sys.modules:
            from tensorcheck.plugin.unwatched import explanation_for  # noqa: PLC0415 - a test with tensors failed

            explanation = explanation_for(item, call.excinfo.value)
            if explanation:
                report.sections.append(("tensorcheck", explanation))
        return report

    def pytest_sessionfinish(self) -> None:
        """Hand the findings to the process that reports, or report them."""
        if self._keeper is not None:
            self._keeper.finish()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - a class of xdist
        """A process of a distributed run is done: take its findings."""
        output = getattr(node, "workeroutput", None) or {}
        if "tensorcheck" in output:
            self.keeper.merge(output["tensorcheck"])

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line, and the reports that were asked for."""
        if self._keeper is not None:
            self._keeper.summarise(terminalreporter)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None


@pytest.fixture
def tensorcheck_watch(request: pytest.FixtureRequest) -> "Iterator[Callable[..., Watch]]":
    """`tensorcheck.watch`, closed at the end of the test, which fails where it found an error."""
    from tensorcheck.plugin.fixtures import watch_in_test  # noqa: PLC0415 - a test wants it

    with watch_in_test(request) as watch:
        yield watch


@pytest.fixture
def simulated_accelerator(request: pytest.FixtureRequest) -> "Iterator[torch.device]":
    """The device of an accelerator that is not there: `cuda`, or what the marker's `simulate_device` names."""
    from tensorcheck.plugin.fixtures import accelerator_in_test  # noqa: PLC0415 - likewise

    with accelerator_in_test(request) as device:
        yield device

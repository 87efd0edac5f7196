"""What every test can use: golden files, and runs of pytest within the test."""

import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# A shared machine may stand still for a while; that says nothing of the code under test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# The tests run side by side: more threads in each would only wait for one another. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Whatever a package could fetch when it is used, no test fetches. Read when the package is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Scripts of strangers, to be run and not to be imported.
collect_ignore_glob = ["gallery/*/*.py", "zoo/programs/*.py"]

TOLD = "told"
"""The property of a test that is printed at the end, though the test passed."""

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, to be read in the diff")
    parser.addoption("--told", action="store_true", help="print what tests measured also where some failed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("accelerator") is None:
        return
    import torch  # noqa: PLC0415 - most tests need none

    if not torch.cuda.is_available():
        pytest.skip("there is no real accelerator")


def pytest_runtest_teardown() -> None:
    """A test that keeps a session in a cycle of references hands it to no other test."""
    torch = sys.modules.get("torch")
    if torch is not None and torch._C._len_torch_function_stack():
        gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    if exitstatus and not config.getoption("--told"):
        return  # the table would hide what failed
    reports = terminalreporter.getreports("passed")
    lines = [str(words) for report in reports for name, words in report.user_properties if name == TOLD]
    if lines:
        terminalreporter.section("told by tests that passed")
    for line in sorted(lines):
        terminalreporter.write_line(line)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name, text)`: the text is what the file of this name in the folder `golden` beside the test holds."""

    def check(name: str, text: str) -> None:
        file = request.path.parent / "golden" / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(text.encode())
        assert text == file.read_bytes().decode(), f"{file} differs; --update-golden writes it anew"

    return check


@pytest.fixture
def inner_pytest(request: pytest.FixtureRequest) -> pytest.Pytester:
    """Runs pytest within this process.

    An inner run forgets the modules that it was the first to import, and second copies of ours would patch torch again,
    so everything is imported before; dynamo, which an optimizer imports, can't be imported twice.
    """
    import torch  # noqa: PLC0415 - most tests need no inner run

    import tensorcheck  # noqa: PLC0415 - likewise

    for module in pkgutil.walk_packages(tensorcheck.__path__, "tensorcheck."):
        if module.name != "tensorcheck.__main__":
            importlib.import_module(module.name)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    pytester: pytest.Pytester = request.getfixturevalue("pytester")
    return pytester

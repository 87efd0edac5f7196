"""The pytest plugin, in runs of pytest: every option, the marker, the fixtures, and other plugins beside it."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tensorcheck.observe.patches import PATCHES

COMMON = """
import pytest
import torch
from torch import nn
import tensorcheck

pytestmark = pytest.mark.filterwarnings("ignore")

def train(model, inputs, targets):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()

def broadcast():
    train(nn.Linear(4, 1), torch.rand(8, 4), torch.rand(8))

def healthy():
    train(nn.Linear(4, 1), torch.rand(8, 4), torch.rand(8, 1))

def crash():
    nn.Linear(4, 1)(torch.rand(8, 5))
"""

BROADCAST = f"{COMMON}\ndef test_it():\n    broadcast()\n"
HEALTHY = f"{COMMON}\ndef test_it():\n    healthy()\n"


@pytest.fixture
def run(inner_pytest: pytest.Pytester) -> "Run":
    return Run(inner_pytest)


class Run:
    """Runs pytest over a source."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, source: str, *flags: str, ini: str = "") -> pytest.RunResult:
        self.pytester.makeini(f"[pytest]\n{ini}")
        self.pytester.makepyfile(test_it=source)
        result = self.pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:asyncio", "-p", "no:xdist", *flags)
        assert PATCHES.is_empty()
        return result


def test_an_error_finding_fails_its_test_with_the_finding(run: Run) -> None:
    result = run(BROADCAST, "--tensorcheck")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error?TCK202?: `mse_loss` compares ?8, 1? with ?8? as 8x8", "*--> test_it.py:*"])


def test_without_the_flag_the_test_passes_and_nothing_is_said(run: Run) -> None:
    result = run(BROADCAST)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*tensorcheck:*")


def test_a_healthy_test_passes(run: Run) -> None:
    result = run(HEALTHY, "--tensorcheck")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tensorcheck: 1 test watched, no findings"])


def test_fail_on_never_lets_it_pass_and_counts_it(run: Run) -> None:
    result = run(BROADCAST, "--tensorcheck", "--tensorcheck-fail-on", "never")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tensorcheck: 1 test watched, 1 error"])


def test_fail_on_warning_fails_on_warnings(run: Run) -> None:
    source = f"{COMMON}\ndef test_it():\n    broadcast()\n"
    toml = run.pytester.makepyprojecttoml('[tool.tensorcheck.severity]\nTCK202 = "warning"\n')
    assert toml.exists()
    run(source, "--tensorcheck").assert_outcomes(passed=1)
    run(source, "--tensorcheck", "--tensorcheck-fail-on", "warning").assert_outcomes(failed=1)


def test_a_warning_is_a_section_of_a_test_that_fails_for_another_reason(run: Run) -> None:
    run.pytester.makepyprojecttoml('[tool.tensorcheck.severity]\nTCK202 = "warning"\n')
    result = run(f"{COMMON}\ndef test_it():\n    broadcast()\n    assert False\n", "--tensorcheck")
    result.stdout.fnmatch_lines(["*- tensorcheck -*", "warning?TCK202?*"])


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        (["--tensorcheck-ignore", "TCK2"], "passed"),
        (["--tensorcheck-select", "TCK4"], "passed"),
        (["--tensorcheck-select", "TCK202"], "failed"),
        (["--tensorcheck-ignore", "TCK4"], "failed"),
    ],
)
def test_rules_are_selected_and_ignored(run: Run, flags: list[str], outcome: str) -> None:
    run(BROADCAST, "--tensorcheck", *flags).assert_outcomes(**{outcome: 1})


def test_a_code_that_no_rule_has_is_a_usage_error(run: Run) -> None:
    result = run(BROADCAST, "--tensorcheck", "--tensorcheck-ignore", "TCK29")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no rule's code is or starts with 'TCK29'*"])


@pytest.mark.parametrize("suffix", ["json", "html", "md", "sarif", "txt"])
def test_a_report_of_all_tests_is_written(run: Run, suffix: str) -> None:
    source = f"{COMMON}\n@pytest.mark.parametrize('case', [1, 2])\ndef test_it(case):\n    broadcast()\n"
    result = run(source, "--tensorcheck", "--tensorcheck-report", f"found.{suffix}")
    result.stdout.fnmatch_lines([f"tensorcheck: report in found.{suffix}"])
    text = (run.pytester.path / f"found.{suffix}").read_text(encoding="utf-8")
    assert "TCK202" in text
    assert "found in test_it.py" in text.replace("\\", "")


def test_a_report_that_can_not_be_written_is_told(run: Run) -> None:
    result = run(BROADCAST, "--tensorcheck", "--tensorcheck-report", "nowhere/found.json")
    result.stdout.fnmatch_lines(["tensorcheck: the report 'nowhere/found.json' could not be written*"])


def test_a_simulated_device_lasts_from_fixture_to_test(run: Run) -> None:
    source = f"""{COMMON}
@pytest.fixture(scope="module")
def model():
    return nn.Linear(4, 1).to("cuda")

def test_first(model):
    assert model(torch.rand(2, 4, device="cuda")).is_cuda

def test_second(model):
    model(torch.rand(2, 4))
"""
    result = run(source, "--tensorcheck-simulate-device", "cuda")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*TCK301*"])


@pytest.mark.parametrize(
    ("ini", "outcome"),
    [
        ("tensorcheck = true", "failed"),
        ("tensorcheck = true\ntensorcheck_fail_on = never", "passed"),
        ("tensorcheck = true\ntensorcheck_ignore = TCK202", "passed"),
        ("tensorcheck = true\ntensorcheck_select = TCK4", "passed"),
    ],
)
def test_the_ini_file_says_the_same(run: Run, ini: str, outcome: str) -> None:
    run(BROADCAST, ini=ini).assert_outcomes(**{outcome: 1})


def test_the_ini_file_names_reports_and_a_device(run: Run) -> None:
    source = f"{COMMON}\ndef test_it():\n    assert torch.cuda.is_available()\n"
    result = run(source, ini="tensorcheck = true\ntensorcheck_simulate_device = cuda\ntensorcheck_report = found.json")
    result.assert_outcomes(passed=1)
    assert json.loads((run.pytester.path / "found.json").read_text())["summary"]["error"] == 0


@pytest.mark.parametrize("line", ["tensorcheck_fail_on = bad", "tensorcheck_simulate_device = gpu"])
def test_a_wrong_ini_value_is_a_usage_error(run: Run, line: str) -> None:
    result = run(HEALTHY, ini=line)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{line.partition(' ')[0]}: *"])


@pytest.mark.parametrize(
    ("mark", "body", "outcome"),
    [
        ("", "broadcast()", "failed"),
        ("ignore=['TCK202']", "broadcast()", "passed"),
        ("ignore='TCK2'", "broadcast()", "passed"),
        ("select=['TCK4']", "broadcast()", "passed"),
        ("fail_on='never'", "broadcast()", "passed"),
        ("expect='TCK202'", "broadcast()", "passed"),
        ("expect=['TCK2']", "broadcast()", "passed"),
        ("expect='TCK202'", "healthy()", "failed"),
        ("expect='TCK201'", "crash()", "passed"),
        ("expect='TCK202'", "crash()", "failed"),
        ("expect='TCK401'", "broadcast()", "failed"),
        ("simulate_device='cuda'", "assert torch.cuda.is_available()", "passed"),
        ("simulate_device=None", "assert not torch.cuda.is_available()", "passed"),
    ],
)
def test_the_marker_watches_a_test_alone(run: Run, mark: str, body: str, outcome: str) -> None:
    run(f"{COMMON}\n@pytest.mark.tensorcheck({mark})\ndef test_it():\n    {body}\n").assert_outcomes(**{outcome: 1})


def test_an_expectation_that_is_not_met_says_what_came(run: Run) -> None:
    result = run(f"{COMMON}\n@pytest.mark.tensorcheck(expect='TCK401')\ndef test_it():\n    broadcast()\n")
    result.stdout.fnmatch_lines(["tensorcheck: TCK401 was expected, and TCK202 was found"])


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("skip=1", "*and no skip"),
        ("'TCK202'", "*and no 'TCK202'"),
        ("fail_on='bad'", "*fail_on is error, warning or never, not 'bad'"),
        ("expect='TCK29'", "*no rule's code is or starts with 'TCK29'*"),
        ("simulate_device='gpu'", "*simulate_device is one of cuda, xpu, mps, not 'gpu'"),
    ],
)
def test_a_wrong_marker_fails_its_test_with_the_reason(run: Run, mark: str, why: str) -> None:
    result = run(f"{COMMON}\n@pytest.mark.tensorcheck({mark})\ndef test_it():\n    healthy()\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([why])


def test_the_nearest_marker_wins(run: Run) -> None:
    source = f"""{COMMON}
@pytest.mark.tensorcheck(fail_on="error")
class TestAll:
    def test_first(self):
        broadcast()

    @pytest.mark.tensorcheck(fail_on="never")
    def test_second(self):
        broadcast()
"""
    run(source).assert_outcomes(passed=1, failed=1)


def test_the_fixture_watches_what_it_is_given(run: Run) -> None:
    source = f"""{COMMON}
def test_it(tensorcheck_watch):
    model = nn.Linear(4, 1)
    watch = tensorcheck_watch(model)
    train(model, torch.rand(8, 4), torch.rand(8))
    assert [found.rule for found in watch.findings] == ["TCK202"]

def test_other():
    broadcast()
"""
    result = run(source)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["error?TCK202?*", "tensorcheck: 1 test watched, 1 error"])


def test_the_accelerator_fixture_is_a_device(run: Run) -> None:
    source = f"""{COMMON}
def test_it(simulated_accelerator):
    assert simulated_accelerator == torch.device("cuda")
    assert torch.zeros(2, device=simulated_accelerator).is_cuda

@pytest.mark.tensorcheck(simulate_device="xpu")
def test_other(simulated_accelerator):
    assert simulated_accelerator.type == "xpu"

def test_after():
    assert not torch.cuda.is_available()
"""
    run(source).assert_outcomes(passed=3)


def test_a_crash_is_explained_under_its_traceback_with_no_flag(run: Run) -> None:
    result = run(f"{COMMON}\ndef test_it():\n    crash()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: mat1 and mat2*", "*- tensorcheck -*", "error?TCK201?*", "*(tried: *"])


def test_a_crash_is_explained_where_the_function_imports_us(run: Run) -> None:
    source = COMMON.replace("import tensorcheck\n", "")
    result = run(f"{source}\ndef test_it():\n    import tensorcheck\n    crash()\n")
    result.stdout.fnmatch_lines(["*- tensorcheck -*", "error?TCK201?*"])


def test_a_crash_in_a_test_that_knows_nothing_of_us_is_left_alone(run: Run) -> None:
    result = run(f"{COMMON.replace('import tensorcheck', '')}\ndef test_it():\n    crash()\n")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*TCK201*")


def test_a_watched_crash_is_explained_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)  # there pytest's own summary repeats the whole message
    result = run(f"{COMMON}\ndef test_it():\n    crash()\n", "--tensorcheck")
    assert str(result.stdout).count("error[TCK201]") == 1


def test_a_crash_in_a_fixture_is_explained(run: Run) -> None:
    result = run(f"{COMMON}\n@pytest.fixture\ndef made():\n    crash()\n\ndef test_it(made):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["error?TCK201?*"])


def test_test_cases_of_unittest_are_watched(run: Run) -> None:
    source = f"""{COMMON}
import unittest

class TestIt(unittest.TestCase):
    def test_broadcast(self):
        broadcast()

    def test_healthy(self):
        healthy()

    def test_crash(self):
        crash()

    @pytest.mark.tensorcheck(expect="TCK201")
    def test_expected(self):
        crash()
"""
    result = run(source, "--tensorcheck")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*TCK201*", "*TCK202*"])


def test_skipped_and_expected_failures_stay_so(run: Run) -> None:
    source = f"""{COMMON}
def test_skip():
    pytest.skip("no reason")

@pytest.mark.xfail
def test_xfail():
    crash()

@pytest.mark.xfail
def test_xfail_by_finding():
    broadcast()
"""
    run(source, "--tensorcheck").assert_outcomes(skipped=1, xfailed=2)


def test_findings_are_properties_in_junit(run: Run) -> None:
    run(BROADCAST, "--tensorcheck", "--junitxml", "junit.xml")
    tree = ET.parse(run.pytester.path / "junit.xml")  # noqa: S314 - pytest wrote it
    named = {each.get("name"): each.get("value") for each in tree.iter("property")}
    assert named == {"tensorcheck.TCK202": "`mse_loss` compares [8, 1] with [8] as 8x8"}


def test_what_a_test_prints_and_draws_is_as_without_us(run: Run) -> None:
    source = (
        f"{COMMON}\ndef test_it():\n    torch.manual_seed(0)\n    healthy()\n    print('drawn', torch.rand(1).item())\n"
    )
    outputs = [
        [line for line in run(source, "-s", *flags).outlines if "drawn" in line] for flags in ((), ("--tensorcheck",))
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0]


def test_the_switch_turns_everything_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORCHECK", "0")
    source = f"""{COMMON}
def test_it(tensorcheck_watch):
    tensorcheck_watch(nn.Linear(2, 2))
    broadcast()
"""
    result = run(source, "--tensorcheck")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("tensorcheck:*")


def started(folder: Path, *flags: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_processes_of_xdist_report_together(tmp_path: Path) -> None:
    test = "@pytest.mark.parametrize('case', range(6))\ndef test_it(case):\n    broadcast() if case else healthy()\n"
    (tmp_path / "test_it.py").write_text(f"{COMMON}\n{test}")
    output = started(tmp_path, "-n", "2", "--tensorcheck", "--tensorcheck-report", "found.json")
    assert "tensorcheck: 6 tests watched, 1 error" in output
    assert "5 failed, 1 passed" in output
    report = json.loads((tmp_path / "found.json").read_text())
    assert [found["rule"] for found in report["findings"]] == ["TCK202"]
    assert report["coverage"]["models"] == 6


def test_random_order_and_coroutines_work(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    source = f"{COMMON}\nasync def test_first():\n    broadcast()\n\nasync def test_second():\n    healthy()\n"
    (tmp_path / "test_it.py").write_text(source)
    output = started(tmp_path, "-p", "randomly", "-p", "no:xdist", "--tensorcheck")
    assert "1 failed, 1 passed" in output
    assert "--randomly-seed" in output
    assert "error[TCK202]" in output


def test_a_project_without_torch_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    named = ('torch', 'numpy', 'tensorcheck')\n"
        "    print('imported:', sorted(name for name in sys.modules if name.partition('.')[0] in named))\n"
    )
    output = started(tmp_path, "-p", "no:hypothesispytest", "-p", "no:jaxtyping", "-p", "no:randomly", "-s")
    assert "imported: ['tensorcheck', 'tensorcheck.pytest_plugin']" in output

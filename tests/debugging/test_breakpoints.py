"""`tensorcheck.breakpoint_on`: the debugger at the user's line when a rule of that kind finds something."""

import os
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest
import torch
from torch import nn
from torch.nn import functional

import tensorcheck
from tensorcheck.breakpoints import BREAKPOINTS
from tensorcheck.findings import Finding, Severity

SCRIPT = """
import warnings
import torch
from torch import nn
import tensorcheck

warnings.simplefilter("ignore")
model = nn.Linear(4, 1)

def step(rows, target):
    loss = nn.functional.mse_loss(model(rows), target)
    after = 1
    return loss

with tensorcheck.breakpoint_on("TCK2"), tensorcheck.watch(model) as watch:
    step(torch.zeros(8, 4), torch.zeros(8))
    print("went on")
    try:
        model(torch.zeros(2, 5))
    except RuntimeError:
        print("caught")
print([finding.rule for finding in watch.findings])
"""


def run(tmp_path: Path, *commands: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "train.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        input="".join(f"{command}\n" for command in commands),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_prompt_stands_at_the_users_line_below_the_finding(tmp_path: Path) -> None:
    done = run(tmp_path, "p target.shape", "c", "c")
    first, second = done.stdout.split("went on")
    assert first.index("error[TCK202]") < first.index("train.py(11)step()") < first.index("torch.Size([8])")
    assert second.index("error[TCK201]") < second.index("train.py(19)<module>()") < second.index("caught")
    assert (done.returncode, "TCK202" in done.stderr) == (0, False), "what the debugger shows is not printed again"


def test_what_comes_next_can_be_stepped_through(tmp_path: Path) -> None:
    first = run(tmp_path, "n", "n", "p after", "c", "c").stdout.split("went on")[0]
    assert "train.py(12)step()" in first
    assert "(Pdb) 1" in first
    assert "tensorcheck" not in first.split("train.py(11)step()")[1]


def test_to_quit_ends_the_program_as_after_breakpoint(tmp_path: Path) -> None:
    done = run(tmp_path, "q")
    assert (done.returncode, "bdb.BdbQuit" in done.stderr) == (1, True)


def test_to_quit_at_an_exception_goes_on_with_the_exception(tmp_path: Path) -> None:
    assert "caught" in run(tmp_path, "c", "q").stdout


def test_what_is_found_is_found_all_the_same(tmp_path: Path) -> None:
    assert "['TCK202', 'TCK201']" in run(tmp_path, "c", "c").stdout


def test_an_environment_without_breakpoints_is_not_stopped(tmp_path: Path) -> None:
    done = run(tmp_path, PYTHONBREAKPOINT="0")
    assert "(Pdb)" not in done.stdout
    assert "TCK202" in done.stderr, "and then it is printed"


def test_another_debugger_of_the_environment_is_called(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def stop(frame=None):\n    print('stopped at line', frame.f_lineno)\n")
    assert "stopped at line 11" in run(tmp_path, PYTHONBREAKPOINT="mine.stop").stdout


def test_a_debugger_that_is_not_there_is_warned_of_as_python_does(tmp_path: Path) -> None:
    done = run(tmp_path, PYTHONBREAKPOINT="nowhere.stop", PYTHONWARNINGS="default")
    assert done.returncode == 0
    assert "went on" in done.stdout


def broadcast(model: nn.Module) -> None:
    functional.mse_loss(model(torch.zeros(8, 4)), torch.zeros(8))


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("kinds", [["TCK2"], ["TCK202"], ["loss-broadcast"], ["TCK6", "TCK"]])
def test_a_kind_is_a_name_or_the_beginning_of_codes(kinds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    def hook(*, frame: FrameType, header: str) -> None:
        stopped.append(f"{frame.f_code.co_name} {header.splitlines()[0]}")

    monkeypatch.setattr(sys, "breakpointhook", hook)
    model = nn.Linear(4, 1)
    with tensorcheck.breakpoint_on(*kinds), tensorcheck.watch(model, on_finding=lambda _: None):
        broadcast(model)
        broadcast(model)
    assert stopped == ["broadcast error[TCK202]: `mse_loss` compares [8, 1] with [8] as 8x8"]


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_hook_that_takes_no_frame_is_told_how_far_away_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames: list[FrameType] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: frames.append(sys._getframe(1)))
    model = nn.Linear(4, 1)
    with tensorcheck.breakpoint_on("TCK2"), tensorcheck.watch(model, on_finding=lambda _: None):
        broadcast(model)
    above: FrameType | None = frames[0]
    for _ in range(int(capsys.readouterr().out.split("up ")[-1])):
        assert above is not None
        above = above.f_back
    assert above is not None
    assert above.f_code.co_name == "broadcast"


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("kinds", [["TCK4"], ["TCK203"], ["ambiguous-truth-value"]])
def test_other_kinds_do_not_stop(kinds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "breakpointhook", lambda **_: pytest.fail("stopped"))
    model = nn.Linear(4, 1)
    with tensorcheck.breakpoint_on(*kinds), tensorcheck.watch(model, on_finding=lambda _: None) as watch:
        broadcast(model)
    assert [finding.rule for finding in watch.findings] == ["TCK202"]


def test_closing_undoes_it_once_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    finding = Finding("TCK202", "loss-broadcast", Severity.ERROR, headline="It grows")
    first, second = tensorcheck.breakpoint_on("TCK2"), tensorcheck.breakpoint_on("TCK2")
    first.close()
    first.close()
    assert BREAKPOINTS.wants(finding)
    second.close()
    assert not BREAKPOINTS.wants(finding)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["loss-brodcast"], "did you mean 'loss-broadcast'"),
        (["202"], "the beginning of codes, such as 'TCK2'"),
        ([], "names at least one kind"),
    ],
)
def test_a_kind_that_is_none_is_refused(kinds: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tensorcheck.breakpoint_on(*kinds)


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_what_is_typed_at_the_prompt_runs_as_ever_and_is_no_operation_of_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enabled: list[bool] = []

    def hook(*, frame: FrameType, header: str) -> None:
        enabled.append(torch._C._is_torch_function_all_disabled())
        torch.full((7,), 7.0).cumsum(0)

    monkeypatch.setattr(sys, "breakpointhook", hook)
    model = nn.Linear(4, 1)
    with tensorcheck.breakpoint_on("TCK2"), tensorcheck.watch(model, on_finding=lambda _: None) as watch:
        broadcast(model)
        torch.ones(1).exp()
    names = [operation.name for operation in watch.trace.operations]
    assert (enabled, "cumsum" in names, names[-1]) == ([False], False, "exp")

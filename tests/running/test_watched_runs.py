"""What `tensorcheck run` finds in a script that trains, and what it says of it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

HEAD = """
import os, sys, threading
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
"""
BROADCAST = """
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
def train(steps=4):
    for rows, wanted in DataLoader(TensorDataset(torch.rand(8 * steps, 4), torch.rand(8 * steps)), batch_size=8):
        loss = functional.mse_loss(net(rows), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


class Script:
    """A script in a folder, and what came of running it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, source: str, *options: str, check: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
        (self.folder / "script.py").write_text(HEAD + textwrap.dedent(source))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "tensorcheck", "run", "--report", "report.json", *options, "script.py"]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, input=text, check=False
        )
        assert done.returncode == check, done.stderr
        return done

    @property
    def report(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return told

    @property
    def rules(self) -> list[str]:
        return [finding["rule"] for finding in self.report["findings"]]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return Script(tmp_path)


def test_a_finding_is_printed_when_it_is_made_and_makes_the_exit_code(script: Script) -> None:
    done = script.run(BROADCAST + "train(); print('trained')", check=1)
    assert done.stdout == "trained\n"
    assert done.stderr.count("error[TCK202]") == 1
    assert "\ntensorcheck: 1 error\n" in done.stderr
    assert script.report["coverage"]["steps"] == 4


@pytest.mark.parametrize(("limit", "code"), [("error", 1), ("warning", 1), ("never", 0)])
def test_the_exit_code_is_what_was_asked_for(script: Script, limit: str, code: int) -> None:
    script.run(BROADCAST + "train()", "--fail-on", limit, check=code)


def test_the_scripts_own_exit_code_goes_before_ours(script: Script) -> None:
    script.run(BROADCAST + "train(); sys.exit(5)", check=5)


def test_a_crash_is_explained_in_one_note_below_pythons_own_traceback(script: Script) -> None:
    done = script.run("net = nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 1))\nnet(torch.rand(2, 4))", check=1)
    trace, _, rest = done.stderr.partition("RuntimeError: mat1 and mat2")
    assert "tensorcheck" not in trace
    assert rest.count("error[TCK201]") == 1
    assert script.rules == ["TCK201"]


def test_a_crash_in_a_thread_is_explained_too(script: Script) -> None:
    done = script.run("threading.Thread(target=lambda: nn.Linear(4, 1)(torch.rand(2, 5))).start()", check=1)
    assert "error[TCK201]" in done.stderr
    assert script.rules == ["TCK201"]


def test_a_training_in_a_thread_is_watched(script: Script) -> None:
    script.run(BROADCAST + "thread = threading.Thread(target=train); thread.start()", check=1)
    assert script.rules == ["TCK202"]


def test_several_models_are_found_by_their_optimizers_and_calls(script: Script) -> None:
    script.run("""
        made, judge, teacher = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(2, 2)
        first, second = (torch.optim.Adam(net.parameters()) for net in (made, judge))
        for _ in range(4):
            fake = made(torch.rand(8, 2))
            second.zero_grad()
            judge(fake.detach()).mean().backward()
            second.step()
            first.zero_grad()
            (judge(fake).mean() + functional.mse_loss(fake, teacher(fake.detach()).detach())).backward()
            first.step()
    """)
    assert script.report["coverage"]["models"] == 3
    assert script.rules == []


def test_models_are_found_that_were_loaded_or_copied_whole(script: Script) -> None:
    script.run("""
        import copy
        torch.save(nn.Sequential(nn.Linear(4, 1)), "model_complete.pth")
        loaded = torch.load("model_complete.pth", weights_only=False)
        for net in (loaded, copy.deepcopy(nn.Sequential(nn.Linear(4, 1)))):
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            net(torch.rand(2, 4)).sum().backward()
            optimizer.step()
    """)
    assert (script.report["coverage"]["models"], script.report["coverage"]["steps"]) == (2, 1)


def test_a_part_that_was_called_before_it_became_one_is_no_model_of_its_own(script: Script) -> None:
    script.run("""
        body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        with torch.no_grad():
            width = body(torch.zeros(1, 4)).size(1)
        net = nn.Sequential(body, nn.Linear(width, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            net(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    """)
    assert (script.report["coverage"]["models"], script.report["coverage"]["steps"]) == (1, 4)


def test_a_part_that_was_trained_before_is_a_model_of_its_own(script: Script) -> None:
    script.run("""
        body = nn.Linear(4, 3)
        for build in (lambda: body, lambda: nn.Sequential(body, nn.Linear(3, 1))):
            net = build()
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            net(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    """)
    assert script.report["coverage"]["models"] == 2


def test_models_that_nobody_holds_any_more_are_let_go(script: Script) -> None:
    done = script.run("""
        import gc
        from tensorcheck.observe.patches import PATCHES
        for _ in range(20):
            class Net(nn.Linear):
                def forward(self, x): return super().forward(x)
            net = Net(2, 1)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            net(torch.rand(2, 2)).sum().backward()
            optimizer.step()
            del net, optimizer, Net
            gc.collect()
        print(len([key for key in PATCHES._patches if isinstance(key, tuple) and key[1] == "forward"]) < 10)
    """)
    assert done.stdout == "True\n"
    assert script.report["coverage"]["models"] == 20


def test_it_ends_after_so_many_steps_with_what_follows_undone(script: Script) -> None:
    done = script.run(
        """
        net = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        try:
            for epoch in range(100):
                for (rows,) in DataLoader(TensorDataset(torch.rand(64, 4)), batch_size=8):
                    optimizer.zero_grad()
                    net(rows).mean().backward()
                    optimizer.step()
                    print("stepped")
        except Exception:
            print("caught")
        finally:
            print("tidied up")
        """,
        "--steps",
        "3",
    )
    assert done.stdout.splitlines() == ["stepped"] * 3 + ["tidied up"]
    assert script.report["coverage"]["steps"] == 3
    assert {"what": "what would have followed", "why": "the program was to end after 3 steps"} in script.report[
        "coverage"
    ]["skipped"]


def test_a_budget_leaves_closer_looks_out_and_the_report_says_what_it_cost(script: Script) -> None:
    script.run(BROADCAST + "train()", "--budget", "0.000001", check=1)
    coverage = script.report["coverage"]
    assert 0 < coverage["cost"] <= 1
    assert coverage["traced"] == 1
    assert {"what": "2 traced steps", "why": "the budget of 0.0001% of the time was used up"} in coverage["skipped"]


def test_it_ends_a_loop_without_a_loader_too(script: Script) -> None:
    done = script.run(
        """
        net = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        while True:
            net(torch.rand(2, 4)).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            print("stepped")
        """,
        "--steps",
        "2",
    )
    assert done.stdout.splitlines() == ["stepped"] * 2


def test_a_script_without_torch_imports_none_and_the_report_says_so(script: Script) -> None:
    (script.folder / "plain.py").write_text("import sys; print('torch' in sys.modules, 'numpy' in sys.modules)")
    command = [sys.executable, "-m", "tensorcheck", "run", "--report", "report.json", "plain.py"]
    done = subprocess.run(command, cwd=script.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert script.report["coverage"]["skipped"] == [{"what": "PyTorch", "why": "the program never imported it"}]


def test_a_script_that_leaves_at_once_is_reported_all_the_same(script: Script) -> None:
    script.run(BROADCAST + "train(); os._exit(3)", check=3)
    assert script.rules == ["TCK202"]


def test_a_script_that_is_killed_has_left_what_was_found_until_then(script: Script) -> None:
    script.run(BROADCAST + "train(); os.kill(os.getpid(), 9)", check=-signal.SIGKILL)
    assert script.rules == ["TCK202"]
    whats = [skipped["what"] for skipped in script.report["coverage"]["skipped"]]
    assert "the end of the run" in whats


def test_forked_and_spawned_children_write_no_report_of_their_own(script: Script) -> None:
    script.run("""
        import multiprocessing
        def child():
            nn.Linear(1, 1)(torch.rand(1, 1))
        if __name__ == "__main__":
            net = nn.Linear(1, 1)
            for method in ("fork", "spawn"):
                process = multiprocessing.get_context(method).Process(target=child)
                process.start()
                process.join()
                assert process.exitcode == 0
                assert not os.path.exists("report.json")
            net(torch.rand(1, 1))
    """)
    assert script.report["coverage"]["models"] == 1
    assert any(skipped["what"] == "2 child processes" for skipped in script.report["coverage"]["skipped"])


def test_loaders_with_workers_are_as_without(script: Script) -> None:
    script.run(BROADCAST.replace("batch_size=8", "batch_size=8, num_workers=2") + "train()", check=1)
    assert script.rules == ["TCK202"]
    assert not any("child" in skipped["what"] for skipped in script.report["coverage"]["skipped"])


def test_what_is_not_selected_is_not_found(script: Script) -> None:
    script.run(BROADCAST + "train()", "--ignore", "TCK2")
    assert script.rules == []


def test_the_project_says_which_rules_are_wanted(script: Script) -> None:
    (script.folder / "pyproject.toml").write_text("[tool.tensorcheck]\nseverity = { TCK202 = 'info' }")
    script.run(BROADCAST + "train()")
    assert [finding["severity"] for finding in script.report["findings"]] == ["info"]


def test_a_comment_silences_its_line(script: Script) -> None:
    script.run(BROADCAST.replace("wanted)\n", "wanted)  # tensorcheck: ignore[TCK202]\n") + "train()")
    assert script.rules == []


def test_a_baseline_accepts_what_was_found_before(script: Script) -> None:
    script.run(BROADCAST + "train()", "--write-baseline", "known.json")
    done = script.run("\n\n" + BROADCAST + "train()", "--baseline", "known.json")
    assert script.rules == []
    assert "TCK202" not in done.stderr
    assert "skipped: 1 finding, because of the baseline" in done.stderr


def test_the_document_goes_to_stdout_after_what_the_script_printed(script: Script) -> None:
    done = script.run(BROADCAST + "train(); print('mine'); sys.stdout.close()", "--format", "json", "--quiet", check=1)
    first, _, document = done.stdout.partition("\n")
    assert first == "mine"
    assert json.loads(document)["summary"]["error"] == 1
    assert done.stderr == ""


@pytest.mark.parametrize("suffix", ["html", "json", "md", "sarif", "txt"])
def test_a_report_has_the_form_of_its_suffix(script: Script, suffix: str) -> None:
    script.run(BROADCAST + "train()", "--report", f"again.{suffix}", check=1)
    assert "TCK202" in (script.folder / f"again.{suffix}").read_text()


def test_a_crash_is_reported_where_the_script_closed_its_stderr(script: Script) -> None:
    script.run("sys.stderr.close()\nnn.Linear(4, 1)(torch.rand(2, 5))", check=1)
    assert script.rules == ["TCK201"]


def test_a_run_folder_gets_both_reports_and_the_trace(script: Script) -> None:
    script.run(BROADCAST + "train()", "--run-dir", "runs/first", check=1)
    assert {path.name for path in (script.folder / "runs" / "first").iterdir()} == {
        "report.json",
        "report.html",
        "trace.json",
    }


def test_a_report_that_cannot_be_written_is_said_and_fails(script: Script) -> None:
    (script.folder / "out").mkdir()
    done = script.run("import shutil; shutil.rmtree('out')", "--report", "out/report.json", check=1)
    assert "could not be written" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--report", "x.doc", "script.py"], "names no form of report"),
        (["--report", "nowhere/x.json", "script.py"], "does not exist"),
        (["--select", "TCK9999", "script.py"], "TCK9999"),
        (["--baseline", "nowhere.json", "script.py"], "can't be read"),
        (["--quiet"], "name the script to run"),
        (["-m"], "needs the name of a module"),
        (["--step", "3", "script.py"], "--steps"),
    ],
)
def test_wrong_usage_is_said_before_anything_runs(script: Script, options: list[str], words: str) -> None:
    (script.folder / "script.py").write_text("print('ran')")
    done = subprocess.run(
        [sys.executable, "-m", "tensorcheck", "run", *options],
        cwd=script.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_the_debugger_opens_at_the_users_own_frame(script: Script) -> None:
    source = """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(9, 1)
            def forward(self, rows):
                here = "in forward"
                return self.head(rows)
        Net()(torch.rand(2, 4))
    """
    done = script.run(source, "--pdb", check=1, text="p here\np type(tc).__name__\nq\n")
    assert "'in forward'" in done.stdout
    assert "'Watch'" in done.stdout
    assert "error[TCK201]" in done.stderr


def test_no_escape_code_is_written_where_there_is_no_terminal(script: Script) -> None:
    done = script.run(BROADCAST + "train()", "--format", "text", check=1)
    assert "\x1b" not in done.stdout + done.stderr


def test_every_rank_of_torchrun_writes_its_own_report(script: Script) -> None:
    (script.folder / "script.py").write_text(
        HEAD
        + textwrap.dedent("""
        import torch.distributed
        torch.distributed.init_process_group("gloo")
        net = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            loss = functional.mse_loss(net(torch.rand(8, 4)), torch.rand(8))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.distributed.destroy_process_group()
    """)
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29617"]
    command = [*launcher, "-m", "tensorcheck", "run", "--fail-on", "never", "--report", "report.json", "script.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=script.folder, capture_output=True, check=True, env=environment)
    assert [finding["rank"] for finding in script.report["findings"]] == [0]
    other = json.loads((script.folder / "report.rank1.json").read_text())
    assert [(finding["rule"], finding["rank"]) for finding in other["findings"]] == [("TCK202", 1)]


def interruptible() -> None:
    """What a shell starts in the background ignores interrupts, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_leaves_a_report_and_the_signals_exit_code(script: Script) -> None:
    waiting = "train()\nprint('ready', flush=True)\nimport time; time.sleep(60)"
    (script.folder / "script.py").write_text(HEAD + BROADCAST + waiting)
    command = [sys.executable, "-m", "tensorcheck", "run", "--report", "report.json", "script.py"]
    with subprocess.Popen(
        command,
        cwd=script.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,  # noqa: PLW1509 - the child sets a signal and nothing else
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert "KeyboardInterrupt" in err
    assert script.rules == ["TCK202"]


def test_the_line_that_froze_a_parameter_is_known_whichever_way_it_was_done(script: Script) -> None:
    for freezing in ("parameter.requires_grad = False", "parameter.requires_grad_(False)"):
        script.run(
            f"""
            def freeze(net):
                for parameter in net.parameters():
                    {freezing}
            net = nn.Linear(2, 1)
            freeze(net)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            net(torch.rand(2, 2)).sum().backward()
            """,
            check=1,
        )
        (finding,) = script.report["findings"]
        assert finding["rule"] == "TCK403"
        assert freezing.startswith(finding["location"]["code"])


def test_the_call_that_built_a_layer_is_known_wherever_it_stands(script: Script) -> None:
    script.run(
        """
        def built(sizes):
            layers = []
            for width, after in zip(sizes, sizes[1:]):
                layers.append(nn.Linear(width, after))
            layers.append(nn.Linear(9, 1))
            return nn.Sequential(*layers)
        built([4, 8, 16])(torch.rand(2, 4))
        """,
        check=1,
    )
    places = [place["line"] for place in script.report["findings"][0]["related"]]
    lines = (script.folder / "script.py").read_text().splitlines()
    assert lines.index("    layers.append(nn.Linear(9, 1))") + 1 in places


def test_what_a_compiled_model_asks_of_its_parameters_is_answered_as_before(script: Script) -> None:
    done = script.run("""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(3))
            def forward(self, rows):
                return rows * self.weight if self.weight.requires_grad else rows
        net = Net()
        print(torch.compile(net, backend="eager", fullgraph=True)(torch.rand(2, 3)).requires_grad)
        net.weight.requires_grad = False
        print(torch.compile(net, backend="eager", fullgraph=True)(torch.rand(2, 3)).requires_grad)
        try:
            (torch.ones(1, requires_grad=True) * 2).requires_grad = False
            nn.Parameter(torch.ones(1)).requires_grad = "x"
        except (RuntimeError, TypeError) as error:
            print(type(error).__name__, error.__traceback__.tb_next)
    """)
    assert done.stdout.splitlines() == ["True", "False", "RuntimeError None"]


def test_a_report_that_cannot_be_printed_is_told(script: Script) -> None:
    done = script.run(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        kept = []
        try:
            while True:
                kept.append(open(os.devnull))
        except OSError:
            nn.Linear(4, 2)(torch.zeros(2, 5))
        """,
        check=1,
    )

    assert "mat1 and mat2 shapes cannot be multiplied (2x5 and 4x2)" in done.stderr
    assert "tensorcheck: the report could not be printed: [Errno 24]" in done.stderr

"""`%load_ext tensorcheck`: in an IPython of this process, in a real `ipython`, and in a real notebook."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SETUP = """
import warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
BROADCAST = "loss = nn.functional.mse_loss(model(torch.ones(8, 4)), torch.ones(8))"


class Prompt:
    """A shell, and what running a cell in it showed."""

    def __init__(self) -> None:
        self.shell: Any = InteractiveShell.instance(colors="nocolor")
        self.run("%load_ext tensorcheck")
        self.run(SETUP)

    def run(self, cell: str) -> tuple[ExecutionResult, str, list[Any]]:
        with capture_output() as shown:
            result: ExecutionResult = self.shell.run_cell(textwrap.dedent(cell), store_history=True)
        return result, shown.stdout + shown.stderr, shown.outputs


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Prompt]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    prompt = Prompt()
    yield prompt
    prompt.shell.history_manager.end_session()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            monkeypatch.delattr(sys, name)
    InteractiveShell.clear_instance()


def test_a_watched_cell_shows_its_report_as_html_and_as_text(prompt: Prompt) -> None:
    result, _, (report,) = prompt.run(f"%%tensorcheck\n{BROADCAST}")
    assert result.success
    assert "TCK202" in report.data["text/html"]
    assert "error[TCK202]: `mse_loss` compares [8, 1] with [8] as 8x8" in report.data["text/plain"]


def test_models_and_optimizers_of_earlier_cells_are_watched(prompt: Prompt) -> None:
    _, _, (report,) = prompt.run(
        "%%tensorcheck\nfor _ in range(2):\n"
        "    optimizer.zero_grad()\n    model(torch.ones(8, 4)).mean().backward()\n    optimizer.step()"
    )
    assert "1 model, 2 steps, 2 of them traced" in report.data["text/plain"]


def test_places_are_named_by_the_cell_and_its_own_lines(prompt: Prompt) -> None:
    _, _, (report,) = prompt.run(f"%%tensorcheck\n\n{BROADCAST}")
    assert " --> In[3]:3:8" in report.data["text/plain"]


def test_what_the_cell_makes_stays_and_its_last_value_is_shown(prompt: Prompt) -> None:
    result, shown, _ = prompt.run("%%tensorcheck\nkept = 41\nkept + 1")
    assert result.success
    assert "42" in shown
    assert prompt.shell.user_ns["kept"] == 41


def test_an_exception_fails_the_cell_and_is_explained_once_below_its_traceback(prompt: Prompt) -> None:
    result, shown, (report,) = prompt.run("%%tensorcheck\nmodel(torch.ones(2, 5))")
    assert type(result.error_in_exec) is RuntimeError
    assert "Cell In[3], line 2" in shown
    assert "notebook.py" not in shown
    assert shown.count("TCK201") == 0
    assert report.data["text/plain"].count("error[TCK201]") == 1
    assert len(result.error_in_exec.__notes__) == 1


def test_the_next_exception_is_shown_as_ever(prompt: Prompt) -> None:
    prompt.run("%%tensorcheck\nmodel(torch.ones(2, 5))")
    result, shown, outputs = prompt.run("1 / 0")
    assert type(result.error_in_exec) is ZeroDivisionError
    assert "ZeroDivisionError" in shown
    assert outputs == []


def test_handlers_of_the_users_stand_again_afterwards(prompt: Prompt) -> None:
    handled: list[type] = []
    prompt.shell.set_custom_exc((KeyError,), lambda _shell, kind, *_args, **_kwargs: handled.append(kind))
    prompt.run("%%tensorcheck\nmodel(torch.ones(2, 5))")
    prompt.run("{}['a']")
    assert handled == [KeyError]


def test_a_cell_that_is_no_python_fails_as_it_would(prompt: Prompt) -> None:
    result, shown, outputs = prompt.run("%%tensorcheck\nx = (")
    assert type(result.error_in_exec) is SyntaxError or isinstance(result.error_in_exec, SyntaxError)
    assert "SyntaxError" in shown
    assert outputs == []


@pytest.mark.parametrize(("fail_on", "is_success"), [("error", False), ("warning", False), ("never", True)])
def test_fail_on_ends_the_cell_after_its_report(prompt: Prompt, fail_on: str, *, is_success: bool) -> None:
    result, shown, (report,) = prompt.run(f"%%tensorcheck --fail-on {fail_on}\n{BROADCAST}")
    assert (result.success, "CellFindingsError" in shown) == (is_success, not is_success)
    assert "TCK202" in report.data["text/html"]


def test_an_option_that_is_none_is_refused(prompt: Prompt) -> None:
    _, shown, _ = prompt.run("%%tensorcheck --fail\n1")
    assert "UsageError" in shown


def test_the_line_explains_the_exception_of_the_cell_before(prompt: Prompt) -> None:
    prompt.run("model(torch.ones(2, 5))")
    _, _, (report,) = prompt.run("%tensorcheck")
    assert "error[TCK201]" in report.data["text/plain"]
    assert "In[3]" in report.data["text/plain"]


def test_the_line_says_where_there_is_nothing_to_explain(prompt: Prompt) -> None:
    _, shown, _ = prompt.run("%tensorcheck")
    assert "tensorcheck: there is no exception to explain" in shown


def test_it_can_be_unloaded(prompt: Prompt) -> None:
    prompt.run("%unload_ext tensorcheck")
    _, shown, _ = prompt.run("%tensorcheck")
    assert "not found" in shown


def test_another_magic_may_stand_below_it(prompt: Prompt) -> None:
    _, shown, (report,) = prompt.run(f"%%tensorcheck\n%%time\n{BROADCAST}")
    assert "Wall time" in shown
    assert "TCK202" in report.data["text/plain"]


def test_nothing_of_ours_stays_when_the_cell_is_over(prompt: Prompt) -> None:
    forward, function = (
        prompt.shell.user_ns["nn"].Linear.forward,
        prompt.shell.user_ns["nn"].functional.mse_loss.__code__,
    )
    prompt.run(f"%%tensorcheck\n{BROADCAST}")
    assert prompt.shell.user_ns["nn"].Linear.forward is forward
    assert prompt.shell.user_ns["nn"].functional.mse_loss.__code__ is function
    assert prompt.shell.custom_exceptions == ()


def test_a_real_ipython_shows_the_report_as_text(tmp_path: Path) -> None:
    (tmp_path / "cells.ipy").write_text(
        f"%load_ext tensorcheck\n{SETUP}\nget_ipython().run_cell_magic('tensorcheck', '', {BROADCAST!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=nocolor", "cells.ipy"],
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "error[TCK202]: `mse_loss` compares [8, 1] with [8] as 8x8" in done.stdout, done.stderr


@pytest.mark.filterwarnings("ignore")  # of the libraries that run the kernel
def test_a_notebook_shows_html_and_stops_at_a_watched_cell_that_fails(tmp_path: Path) -> None:
    cells = [
        "%load_ext tensorcheck",
        SETUP,
        f"%%tensorcheck\n{BROADCAST}",
        "%%tensorcheck\nmodel(torch.ones(2, 5))",
        "1",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[2]))
    with pytest.raises(CellExecutionError, match="mat1 and mat2 shapes cannot be multiplied"):
        client.execute()
    watched, failed = ([output.output_type for output in cell.outputs] for cell in notebook.cells[2:4])
    assert (watched, failed) == (["display_data"], ["error", "display_data"])
    html = notebook.cells[3].outputs[1].data["text/html"]
    assert "TCK201" in html
    assert "In[4]:2:7" in html
    assert notebook.cells[4].execution_count is None

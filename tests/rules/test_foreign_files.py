"""Files that are read with `weights_only=False`: another's, one's own, and what they need of that."""

import io
import runpy
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tensorcheck.findings import Finding, Severity

HEAD = """
import argparse, io, os, shutil
from pathlib import Path
import torch, tensorcheck
from torch import nn

model = nn.Linear(4, 2)
watch = tensorcheck.watch(model, on_finding=lambda finding: None)
"""


class Calls:
    """What a stranger's pickle may hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


def found(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch, held: object = None) -> Sequence[Finding]:
    """What is found in a script, in a folder that holds `backbone.pt`."""
    monkeypatch.chdir(folder)
    downloaded = io.BytesIO()
    torch.save(nn.Linear(4, 2).state_dict() if held is None else held, downloaded)
    (folder / "backbone.pt").write_bytes(downloaded.getvalue())
    script = folder / "script.py"
    lines = textwrap.indent(textwrap.dedent(program).strip(), "    ")
    script.write_text(f"{HEAD}\ntry:\n{lines}\nfinally:\n    watch.close()\n")
    findings: Sequence[Finding] = runpy.run_path(str(script), run_name="__main__")["watch"].findings
    return findings


LOAD = 'torch.load("backbone.pt", weights_only=False)'


@pytest.mark.parametrize(
    "program",
    [
        LOAD,
        'state = torch.load(Path("backbone.pt"), map_location="cpu", weights_only=False)',
        'with open("backbone.pt", "rb") as file:\n    torch.load(file, weights_only=False)',
        'torch.load("backbone.pt", **{"weights_only": False})',
        f'{LOAD}\ntorch.save(model.state_dict(), "finetuned.pt")',
        f'{LOAD}\ntorch.save(model.state_dict(), os.path.join(os.getcwd(), "best.pt"))',
        f'torch.save(model.state_dict(), Path(".") / "best.pt")\nos.utime("backbone.pt", (0, 0))\n{LOAD}',
        f'{LOAD}\nfor epoch in range(2): torch.save(model.state_dict(), f"runs_epoch_{{epoch}}.pt")',
        f'{LOAD}\nimport numpy as np\nnp.save("losses.npy", np.ones(3))',
        f"{LOAD}\ncopied = io.BytesIO()\ntorch.save(model.state_dict(), copied)",
    ],
)
def test_a_file_that_needs_no_code_is_given_the_right_to_run_some(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = found(program, tmp_path, monkeypatch)
    assert (finding.rule, finding.severity) == ("TCK810", Severity.WARNING)
    assert "`backbone.pt`" in finding.headline
    assert finding.site is not None
    assert finding.site.code.startswith("torch.load(")


def test_the_help_is_the_same_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = found(LOAD, tmp_path, monkeypatch)
    assert finding.help == 'torch.load("backbone.pt", weights_only=True)'


@pytest.mark.parametrize(
    "program",
    [
        'torch.load("backbone.pt")',
        'torch.load("backbone.pt", weights_only=True)',
        'torch.save(model.state_dict(), "own.pt")\ntorch.load("own.pt", weights_only=False)',
        'torch.save(model.state_dict(), "a")\nos.replace("a", "b.pt")\ntorch.load("b.pt", weights_only=False)',
        'torch.save(model.state_dict(), "a")\nshutil.copyfile("a", "b.pt")\ntorch.load("b.pt", weights_only=False)',
        "copied = io.BytesIO()\ntorch.save(model, copied)\ncopied.seek(0)\ntorch.load(copied, weights_only=False)",
        f'{LOAD}\ntorch.save(model.state_dict(), "backbone.pt")',
        f'{LOAD}\nout = Path(".")\ntorch.save(model.state_dict(), out / "backbone.pt")',
        f'{LOAD}\nname = "back"\ntorch.save(model.state_dict(), f"./{{name}}bone.pt")',
        f"{LOAD}\ndef keep(path): torch.save(model.state_dict(), path)",
        f'{LOAD}\nargs = argparse.Namespace(out="x.pt")\ntorch.save(model.state_dict(), args.out)',
        f'{LOAD}\npath = "./backbone.pt"\nwith open(path, "wb") as file: torch.save(model.state_dict(), file)',
    ],
)
def test_what_is_ones_own_or_read_safely_is_silent(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not found(program, tmp_path, monkeypatch)


def test_a_file_that_has_called_something_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = found(LOAD, tmp_path, monkeypatch, {"weights": torch.ones(2), "extra": Calls()})
    assert (finding.rule, finding.severity) == ("TCK810", Severity.ERROR)
    assert "builtins.eval" in finding.headline


def test_a_model_of_another_library_is_worth_knowing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = found(LOAD, tmp_path, monkeypatch, nn.Linear(4, 2))
    assert (finding.rule, finding.severity) == ("TCK810", Severity.INFO)
    assert "torch.nn.modules.linear.Linear" in finding.got


class Settings:
    """A class of the user's own."""


def test_a_file_of_ones_own_classes_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not found(LOAD, tmp_path, monkeypatch, {"weights": torch.ones(2), "settings": Settings()})


def test_a_download_by_its_own_default_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
        shutil.copytree(".", "hub")
        torch.hub.load_state_dict_from_url("http://localhost/backbone.pt", model_dir="hub")
    """
    assert not found(program, tmp_path, monkeypatch)


def test_a_file_that_another_module_of_the_program_may_write_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeping_files.py").write_text("import torch\n\ndef keep(net, path):\n    torch.save(net, path)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not found(f"from keeping_files import keep\n{LOAD}", tmp_path, monkeypatch)

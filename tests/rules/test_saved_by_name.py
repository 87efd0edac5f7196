"""Whole models of which a file holds the name of the class alone, and what can be read again."""

import runpy
from collections.abc import Sequence
from pathlib import Path

import pytest

from tensorcheck.findings import Finding, Severity

HEAD = """
import collections, dataclasses, io, pickle
import torch, tensorcheck
from torch import nn
from pathlib import Path

class Net(nn.Module):
    def __init__(self, activation=None):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.activation = activation
    def forward(self, rows):
        return self.head(rows)

def double(rows):
    return rows * 2

@dataclasses.dataclass
class Settings:
    width: int = 4

class Rebuilt(nn.Linear):
    def __reduce__(self):
        return nn.Linear, (4, 2)

model, plain = Net(), nn.Sequential(nn.Linear(4, 2), nn.ReLU())
watch = tensorcheck.watch(model, on_finding=lambda finding: None)
try:
"""


def found(
    program: str, folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "", name: str = "__main__"
) -> Sequence[Finding]:
    """What is found in a script that does this, in a folder of its own."""
    monkeypatch.chdir(folder)
    lines = [f"    {line}\n" for line in program.splitlines()]
    script = folder / "script.py"
    script.write_text(HEAD + "".join(lines) + "finally:\n    watch.close()\n" + more)
    findings: Sequence[Finding] = runpy.run_path(str(script), run_name=name)["watch"].findings
    return findings


@pytest.mark.parametrize(
    ("program", "name", "help_"),
    [
        ('torch.save(model, "model.pt")', "Net", "save model.state_dict()"),
        ('torch.save(model, Path("model.pt"))', "Net", "save model.state_dict()"),
        ('with open("model.pt", "wb") as file: torch.save(obj=model, f=file)', "Net", "save model.state_dict()"),
        ('torch.save({"epoch": 3, "net": model}, "model.pt")', "Net", "save model.state_dict()"),
        ('state = {"epoch": 3, "net": model}\ntorch.save(state, "model.pt")', "Net", ""),
        ('torch.save(nn.Sequential(nn.ReLU(), model), "model.pt")', "Net", None),
        ('torch.save([model, plain], "model.pt")', "Net", ""),
        ('plain.before = double\ntorch.save(plain, "model.pt")', "double", "save plain.state_dict()"),
        ('plain.register_forward_hook(double)\ntorch.save(plain, "model.pt")', "double", "save plain.state_dict()"),
        ('torch.save({"net": plain.state_dict(), "settings": Settings()}, "model.pt")', "Settings", ""),
    ],
)
def test_what_the_script_defines_is_saved_by_its_name(
    program: str, name: str, help_: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = found(program, tmp_path, monkeypatch)
    assert (finding.rule, finding.severity) == ("TCK809", Severity.WARNING)
    assert f"`{name}`" in finding.headline
    assert finding.site is not None
    assert finding.site.code.startswith("torch.save(")
    assert help_ is None or finding.help == help_


def test_the_class_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = found('torch.save(model, "model.pt")', tmp_path, monkeypatch)
    assert [each.site.code for each in finding.related] == ["class Net(nn.Module):"]


@pytest.mark.parametrize(
    "program",
    [
        'torch.save(model.state_dict(), "model.pt")',
        'torch.save({"net": model.state_dict(), "epoch": 3, "settings": dataclasses.asdict(Settings())}, "model.pt")',
        'torch.save(plain, "model.pt")',
        'plain.activation = torch.relu\ntorch.save(plain, "model.pt")',
        "copied = io.BytesIO()\ntorch.save(model, copied)",
        'torch.save(Rebuilt(4, 2), "model.pt")',
        'torch.save(collections.OrderedDict(model.named_parameters()), "model.pt")',
        'torch.save(model, "model.pt")\ntorch.load("model.pt", weights_only=False)',
        'torch.save(model, "model.pt")\ntorch.load("model.pt", **{"weights_only": False})',
    ],
)
def test_what_is_found_again_is_silent(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not found(program, tmp_path, monkeypatch)


def test_a_script_that_may_load_its_own_model_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "\n\ndef resume(path):\n    return torch.load(path, weights_only=False)\n"
    assert not found('torch.save(model, "model.pt")', tmp_path, monkeypatch, more)


def test_a_load_of_weights_reads_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "\n\ndef pretrained(path):\n    return torch.load(path, weights_only=True)\n"
    assert [each.rule for each in found('torch.save(model, "model.pt")', tmp_path, monkeypatch, more)] == ["TCK809"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ('torch.save(Net(lambda rows: rows), "model.pt")', "lambda can't be saved"),
        ('def inside():\n    class Inner(Net): pass\n    return Inner()\ntorch.save(inside(), "m.pt")', "`Inner`"),
        ('Other = Net\ndel Net\ntorch.save(Other(), "model.pt")', "`Net`"),
        (
            "file = io.BytesIO()\ntorch.save(model, file)\ndel Net\nfile.seek(0)\ntorch.load(file, weights_only=False)",
            "`Net`",
        ),
    ],
)
def test_what_has_no_name_is_explained(
    program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"\n        {line}" for line in program.splitlines())
    caught = f"try:\n    with watch:{lines}\nexcept Exception:\n    pass"
    findings = found(caught, tmp_path, monkeypatch)
    assert [(each.rule, each.severity) for each in findings] == [("TCK809", Severity.ERROR)]
    assert words in findings[0].headline

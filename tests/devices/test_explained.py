"""What goes wrong on a simulated device is explained as on a real one, in the user's lines."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tensorcheck

HEAD = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
"""
TRAINING = """
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
model.to(device)
optimizer = torch.optim.Adam(model.parameters())
for rows, labels in DataLoader(TensorDataset(torch.rand(16, 4), torch.randint(3, (16,))), batch_size=4):
    {forward}
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(device, next(model.parameters()).sum().item())
"""
FORWARD = "logits = model(rows.to(device))"
LOSS = "loss = nn.functional.cross_entropy(logits, labels.to(device))"


def _run(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(HEAD + textwrap.dedent(source))
    command = [sys.executable, "-m", "tensorcheck", "run", "--report", "report.json", *options, "script.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _simulated(folder: Path, source: str) -> dict[str, Any]:
    """The one finding of a script that found a simulated device."""
    done = _run(folder, source, "--simulate-device", "cuda")
    told = json.loads((folder / "report.json").read_text())
    assert done.returncode == 1, done.stderr
    assert told["environment"]["devices"] == ["cpu", "cuda:0 (simulated)"]
    (finding,) = told["findings"]
    assert "tensorcheck/devices" not in done.stderr
    return dict(finding)


def test_a_batch_left_on_the_cpu(tmp_path: Path) -> None:
    finding = _simulated(tmp_path, TRAINING.format(forward="logits = model(rows)", loss=LOSS))

    assert finding["rule"] == "TCK301"
    assert finding["headline"] == "`0` (Linear) is on cuda:0 but got `rows` on cpu"
    assert "`model` is moved to cuda here" in [place["note"] for place in finding["related"]]


def test_labels_left_on_the_cpu(tmp_path: Path) -> None:
    finding = _simulated(
        tmp_path, TRAINING.format(forward=FORWARD, loss="loss = nn.functional.cross_entropy(logits, labels)")
    )

    assert finding["rule"] == "TCK302"
    assert finding["headline"] == "`cross_entropy` got predictions on cuda:0 but targets on cpu"
    assert finding["help"] == "labels.to(logits.device)"
    assert finding["tried"] == "passed"


def test_a_plain_attribute_that_did_not_move(tmp_path: Path) -> None:
    finding = _simulated(
        tmp_path,
        """
        class Shifted(nn.Module):
            def __init__(self):
                super().__init__()
                self.shift = torch.ones(4)

            def forward(self, rows):
                return rows + self.shift

        model = Shifted().cuda()
        model(torch.rand(2, 4, device=device))
        """,
    )

    assert finding["rule"] == "TCK303"
    assert finding["headline"] == "`self.shift` is on cpu but `rows` is on cuda:0"
    assert finding["notes"] == ["a plain attribute does not move with its module; a registered buffer does"]


def test_a_tensor_of_the_device_for_numpy(tmp_path: Path) -> None:
    finding = _simulated(tmp_path, "pred = torch.rand(3, device=device)\nprint(pred.numpy())")

    assert finding["rule"] == "TCK303"
    assert finding["help"] == 'pred.to("cpu")'
    assert finding["tried"] == "passed"


def test_a_device_beyond_the_last(tmp_path: Path) -> None:
    finding = _simulated(tmp_path, 'model = nn.Linear(2, 2).to("cuda:1")')

    assert finding["rule"] == "TCK305"


def test_a_script_that_is_right_trains_and_nothing_is_said(tmp_path: Path) -> None:
    script = TRAINING.format(forward=FORWARD, loss=LOSS).replace("optimizer =", "torch.manual_seed(0)\noptimizer =", 1)
    script = "torch.manual_seed(0)\n" + script
    plain, simulated = (_run(tmp_path, script, *options) for options in ((), ("--simulate-device", "cuda")))

    assert simulated.returncode == 0, simulated.stderr
    assert simulated.stdout.removeprefix("cuda") == plain.stdout.removeprefix("cpu")
    assert "tensorcheck: no findings" in simulated.stderr


def test_names_imported_from_torch_are_covered(tmp_path: Path) -> None:
    done = _run(
        tmp_path,
        """
        from torch import tensor, zeros
        print(zeros(2, device="cuda").device, tensor([1.0], device="cuda").device)
        zeros(2) + tensor([1.0], device="cuda")
        """,
        "--simulate-device",
        "cuda",
    )

    assert done.stdout == "cuda:0 cuda:0\n"
    assert "at least two devices, cuda:0 and cpu!" in done.stderr


def test_an_accelerator_that_is_none_is_refused(tmp_path: Path) -> None:
    done = _run(tmp_path, "", "--simulate-device", "gpu")

    assert done.returncode == 2
    assert "'gpu' is not one of 'cuda', 'xpu', 'mps'" in done.stderr


def test_a_watched_model_in_a_simulation_is_explained() -> None:
    with tensorcheck.simulate_device("cuda"):
        model = nn.Linear(3, 2)
        model.to("cuda")
        batch = torch.rand(4, 3)
        with pytest.raises(RuntimeError, match="mat1"), tensorcheck.watch(model, on_finding=lambda _: None) as watch:
            model(batch)

    (finding,) = watch.findings
    assert finding.rule == "TCK301"
    assert finding.headline == "`Linear` is on cuda:0 but got `batch` on cpu"
    assert (finding.help, finding.tried) == ('batch.to("cuda:0")', "the call passes")


def test_the_trace_shows_where_tensors_are_meant_to_be() -> None:
    with tensorcheck.simulate_device("cuda"):
        model = nn.Linear(3, 2).cuda()
        with tensorcheck.watch(model) as watch:
            model(torch.rand(4, 3).to("cuda")).cpu()

    assert watch.trace is not None
    assert {value.meta.device for value in watch.trace.values} == {"cuda:0", "cpu"}
    assert watch.trace.values[-1].meta.device == "cpu"

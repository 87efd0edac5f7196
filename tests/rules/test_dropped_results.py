"""Conversions of tensors whose result nobody keeps, and lines that look like them."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding, Severity

CPU = torch.device("cpu")
Batch = dict[str, Tensor]


def found(convert: Callable[[Batch], object]) -> list[Finding]:
    """Train two steps on a batch that this converts."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(2):
            batch = {"rows": torch.rand(8, 4), "wanted": torch.rand(8, 1)}
            convert(batch)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch["rows"]), batch["wanted"]).backward()
            optimizer.step()
    return list(watch.findings)


def as_statement(batch: Batch) -> None:
    rows = batch["rows"]
    rows.to(CPU)


def of_an_element(batch: Batch) -> None:
    batch["rows"].to(CPU, non_blocking=True)


def of_a_dtype(batch: Batch) -> None:
    batch["rows"].half()


def chained(batch: Batch) -> None:
    batch["rows"].float().to(CPU)


def two_of_a_line(batch: Batch) -> None:
    rows = batch["rows"]
    rows.to(CPU), rows.stride()


def in_a_list(batch: Batch) -> None:
    [field.to(CPU) for field in batch.values()]


def into_the_loops_name(batch: Batch) -> None:
    for field in batch.values():
        field = field.to(CPU)  # noqa: PLW2901 - likewise


@pytest.mark.parametrize(
    "convert", [as_statement, of_an_element, of_a_dtype, chained, two_of_a_line, in_a_list, into_the_loops_name]
)
def test_a_conversion_that_nobody_keeps_is_told_of_once_at_its_line(convert: Callable[[Batch], None]) -> None:
    (finding,) = found(convert)

    assert (finding.rule, finding.severity) == ("TCK308", Severity.WARNING)
    assert finding.site is not None
    assert finding.site.function.startswith(convert.__name__)


def kept(batch: Batch) -> None:
    batch["rows"] = batch["rows"].to(CPU)


def kept_in_a_loop(batch: Batch) -> None:
    for name, field in batch.items():
        batch[name] = field.to(CPU)


def read_after_the_loop(batch: Batch) -> Tensor | None:
    field = None
    for field in batch.values():
        field = field.to(CPU)  # noqa: PLW2901 - likewise
    return field


def used_in_the_loop(batch: Batch) -> None:
    for field in batch.values():
        field = field.to(CPU)  # noqa: PLW2901 - likewise
        field.clamp_(0, 1)


def of_a_module(batch: Batch) -> None:
    scale = nn.Linear(4, 4)
    scale.to(CPU)
    scale.float()
    [part.to(CPU) for part in (scale, scale)]
    batch["rows"] = scale(batch["rows"]).detach()


class Fields:
    """A batch that moves itself, as those of many libraries do."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def to(self, device: torch.device) -> "Fields":
        self.batch.update({name: field.to(device) for name, field in self.batch.items()})
        return self


def of_a_batch_that_moves_itself(batch: Batch) -> None:
    fields = Fields(batch)
    fields.to(CPU)


def to_warm_up(_: Batch) -> None:
    torch.zeros(1).to(CPU)


def to_wait_for_a_device(batch: Batch) -> None:
    batch["rows"].cpu()
    batch["rows"].to("cpu")


def to_see_whether_it_raises(batch: Batch) -> None:
    try:
        batch["rows"].to(CPU)
    except RuntimeError:
        batch.clear()
    with contextlib.suppress(RuntimeError):
        batch["rows"].to(CPU)


def as_a_type_that_is_asked_for(batch: Batch) -> None:
    batch["rows"].type()


@pytest.mark.parametrize(
    "convert",
    [
        kept,
        kept_in_a_loop,
        read_after_the_loop,
        used_in_the_loop,
        of_a_module,
        of_a_batch_that_moves_itself,
        to_warm_up,
        to_wait_for_a_device,
        as_a_type_that_is_asked_for,
        to_see_whether_it_raises,
    ],
)
def test_what_is_kept_or_done_in_place_is_silent(convert: Callable[[Batch], object]) -> None:
    assert found(convert) == []


def test_on_an_accelerator_that_is_not_there_the_crash_is_what_is_told_of() -> None:
    with tensorcheck.simulate_device("cuda"), pytest.raises(RuntimeError):
        crashed(torch.device("cuda"))


def crashed(device: torch.device) -> None:
    model = nn.Linear(4, 1).to(device)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        rows = torch.rand(8, 4)
        rows.to(device)
        try:
            model(rows)
        finally:
            assert [finding.rule for finding in watch.findings] == ["TCK301"]


PROGRAM = """\
import torch
from torch import nn
device = torch.device("cpu")
rows, wanted = torch.rand(8, 4), torch.rand(8, 1)
rows.to(device)
{between}
model = nn.Linear(4, 1)
model.to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def train():
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(rows), wanted).backward()
        optimizer.step()
train()
"""


def ran(folder: Path, program: str) -> str:
    script = folder / "program.py"
    script.write_text(program)
    command = [sys.executable, "-m", "tensorcheck", "run", str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stderr


def test_what_a_script_drops_before_its_model_is_built_is_told_of(tmp_path: Path) -> None:
    printed = ran(tmp_path, PROGRAM.format(between=""))

    assert "warning[TCK308]: `rows.to(device)` is dropped" in printed
    assert "program.py:5:1" in printed
    assert "rows = rows.to(device)" in printed


def test_a_name_that_is_bound_anew_afterwards_is_silent(tmp_path: Path) -> None:
    assert "TCK308" not in ran(tmp_path, PROGRAM.format(between="rows = torch.rand(8, 4)"))

"""Casts that overflow, integers that wrap, fractions that are cut off, masks inverted bit by bit; and healthy ones."""

# ruff: noqa: PLW0108 - what is looked at has to be called within the watch, from here

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding, Severity

BYTES = torch.arange(100, 132, dtype=torch.uint8).view(8, 4)
UNIT = torch.linspace(0.01, 0.99, 32).view(8, 4)
MASK = torch.tensor([0, 1, 0, 1])


def found(made: Callable[[], Tensor]) -> list[Finding]:
    """Train one step on what this makes."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        rows = made().float().expand(8, 4).clamp(-1e3, 1e3)
        model(rows).square().mean().backward()
        optimizer.step()
    return list(watch.findings)


def written(into: Tensor, values: Tensor | float) -> Tensor:
    into[:] = values
    return into


def counted() -> Tensor:
    total = torch.full((4,), 250, dtype=torch.uint8)
    total += 10
    return total


MISTAKES: list[tuple[str, Callable[[], Tensor]]] = [
    ("TCK109", lambda: (BYTES.float() * 3).to(torch.uint8)),
    ("TCK109", lambda: (BYTES.float() * 3).byte()),
    ("TCK109", lambda: BYTES.long().to(dtype=torch.int8)),
    ("TCK109", lambda: (BYTES.float() * 1000).half()),
    ("TCK109", lambda: (-UNIT * 5).type(torch.uint8)),
    ("TCK110", lambda: BYTES - 128),
    ("TCK110", lambda: 100 - BYTES),
    ("TCK110", lambda: BYTES * 2 + 1),
    ("TCK110", lambda: -BYTES),
    ("TCK110", lambda: torch.add(BYTES, BYTES)),
    ("TCK110", lambda: BYTES.sum(0, dtype=torch.uint8)),
    ("TCK110", counted),
    ("TCK111", lambda: UNIT.long()),
    ("TCK111", lambda: UNIT.to(torch.uint8)),
    ("TCK111", lambda: (BYTES / 255).int()),
    ("TCK111", lambda: written(torch.zeros(8, 4, dtype=torch.long), 0.7)),
    ("TCK111", lambda: written(torch.zeros(8, 4, dtype=torch.long), UNIT)),
    ("TCK114", lambda: UNIT * ~MASK),
    ("TCK114", lambda: UNIT * ~MASK.byte()),
]


@pytest.mark.parametrize(("code", "made"), MISTAKES)
def test_a_number_that_its_dtype_can_not_hold_is_told_of_at_its_line(code: str, made: Callable[[], Tensor]) -> None:
    (finding,) = found(made)

    assert (finding.rule, finding.severity) == (code, Severity.WARNING)
    assert finding.site is not None
    assert finding.site.file.endswith("test_numbers_of_a_dtype.py")


HEALTHY: dict[str, Callable[[], Tensor]] = {
    "bytes as floats": lambda: (BYTES.float() - 128) / 128,
    "bytes divided": lambda: BYTES / 255,
    "bytes as int16": lambda: BYTES.short() - 128,
    "bytes that fit": lambda: BYTES + 100,
    "pixels of a picture": lambda: (UNIT * 255).byte(),
    "pixels clamped": lambda: (UNIT * 300).clamp(0, 255).to(torch.uint8),
    "bins": lambda: (UNIT * 1).long(),
    "class numbers as floats": lambda: torch.tensor([0.0, 1.0, 2.0, 1.0]).long(),
    "rounded": lambda: UNIT.round().long(),
    "compared": lambda: (UNIT > 0.5).long(),
    "whole parts": lambda: (UNIT * 10 + 0.5).int(),
    "one low byte of a hash": lambda: (torch.tensor([1000, 2000, 3000, 4000]) & 0xFFFF).byte(),
    "additive mask in half": lambda: torch.full((4,), torch.finfo(torch.float32).min).half(),
    "infinite mask in half": lambda: torch.full((4,), -torch.inf).half(),
    "mask of booleans": lambda: UNIT * ~MASK.bool(),
    "bits of numbers": lambda: ~torch.tensor([0, 1, 2, 3]),
    "wrapping hash": lambda: torch.tensor([2**62, 3, 5, 7]) * 5,
    "whole numbers written": lambda: written(torch.zeros(8, 4, dtype=torch.long), 2.0),
    "all zero": lambda: torch.zeros(8, 4).long(),
    "quantised": lambda: (UNIT * 127).round().clamp(-128, 127).to(torch.int8),
    "in place and in range": lambda: torch.full((4,), 5, dtype=torch.uint8).sub_(5),
}


@pytest.mark.parametrize("made", HEALTHY.values(), ids=HEALTHY)
def test_numbers_that_fit_are_silent(made: Callable[[], Tensor]) -> None:
    assert found(made) == []


def test_in_place_says_what_the_sum_should_have_been() -> None:
    (finding,) = found(counted)
    assert "260 became 4" in finding.headline


def test_a_dataset_that_runs_in_the_loop_is_looked_at() -> None:
    class Images(torch.utils.data.Dataset[Tensor]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Tensor:
            return (BYTES[index] - 128).float()

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for rows in torch.utils.data.DataLoader(Images(), batch_size=4):
            optimizer.zero_grad()
            model(rows).square().mean().backward()
            optimizer.step()

    assert [(finding.rule, finding.site and finding.site.code) for finding in watch.findings] == [
        ("TCK110", "BYTES[index] - 128")
    ]


def test_a_look_that_fails_switches_itself_off_and_leaves_the_trace_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        msg = "a fault of ours"
        raise RuntimeError(msg)

    monkeypatch.setattr("tensorcheck.observe.number_looks._cast", broken)
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        model(BYTES.long().float()).sum().backward()

    assert [finding.rule for finding in watch.findings] == ["TCK001"]
    assert "linear" in [operation.name for operation in watch.trace.operations]

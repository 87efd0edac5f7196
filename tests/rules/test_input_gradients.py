"""Inputs that were made to require a gradient, and what may read it; this file itself must name none of that."""

import linecache

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding, Severity


def test_an_input_whose_gradient_nothing_reads_is_an_info() -> None:
    source = """
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with tensorcheck.watch(model) as watch:
    for step in range(4):
        batch = torch.rand(16, 4)
        batch.requires_grad = True
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
"""
    (finding,) = _findings_of(source)

    assert (finding.rule, finding.severity) == ("TCK431", Severity.INFO)


@pytest.mark.parametrize(
    "reading",
    ["batch.grad.abs().max()", "torch.autograd.set_detect_anomaly(False)", "batch.register_hook"],
)
def test_an_input_whose_gradient_may_be_read_is_silent(reading: str) -> None:
    source = f"""
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with tensorcheck.watch(model) as watch:
    for step in range(4):
        batch = torch.rand(16, 4).requires_grad_()
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        {reading}
        optimizer.step()
"""
    assert _findings_of(source) == ()


def _findings_of(source: str) -> tuple[Finding, ...]:
    filename = f"<{hash(source)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names: dict[str, object] = {"torch": torch, "nn": nn, "tensorcheck": tensorcheck, "__name__": "example"}
    exec(compile(source, filename, "exec"), names)  # noqa: S102 - the file under test must name no gradient
    watch = names["watch"]
    assert isinstance(watch, tensorcheck.Watch)
    return watch.findings

"""Assertions that watch a model: on an accelerator that is not there, and for findings."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

from tensorcheck.devices.simulating import simulate_device
from tensorcheck.findings import Finding, Severity
from tensorcheck.options import Options
from tensorcheck.render.text import finding_text
from tensorcheck.session import Session
from tensorcheck.testing.rehearsing import LossFunction, Rehearsal, rehearsing, tensors_of, twin_of
from tensorcheck.testing.training import MakeOptimizer, explained
from tensorcheck.watching import Watch, settings_here


def assert_device_agnostic(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    *,
    kind: str = "cuda",
) -> None:
    """Model and batch, moved to an accelerator, pass forward, loss and backward there, and the answer is there too.

    The accelerator is simulated: none is needed. Where the model returns no loss and no loss function is given, the
    loss and the backward pass are left out.

    >>> assert_device_agnostic(nn.Linear(4, 2), torch.randn(8, 4))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch, loss_fn) as rehearsal:
        with explained():
            rehearsal.outputs()  # what fails on the CPU has nothing to do with devices
        with simulate_device(kind), _watching(rehearsal.model, ()) as watch:
            try:
                left = _step_there(rehearsal, torch.device(kind))
            except Exception as error:
                watch.explain(error)
                notes = "".join(getattr(error, "__notes__", ()))
                msg = f"`{type(model).__name__}` does not run on {kind!r}: {error}{notes}"
                raise AssertionError(msg) from error
    if left:
        msg = f"`{type(model).__name__}` runs on {kind!r} and answers elsewhere\n  " + "\n  ".join(left)
        raise AssertionError(msg)


def _step_there(rehearsal: Rehearsal, device: torch.device) -> list[str]:
    """What of the answer is elsewhere after a step on a device."""
    rehearsal.model.to(device)
    given = rehearsal.with_batch(lambda each: each.to(device))
    there = Rehearsal(rehearsal.model, given, _moved(rehearsal.loss_fn, device))
    outputs = tensors_of(there.outputs())
    left = [f"`{name}` is on {each.device}" for name, each in outputs.items() if each.device.type != device.type]
    if rehearsal.loss_fn is not None or "output.loss" in outputs or 'output["loss"]' in outputs:
        loss = there.loss()
        if loss.requires_grad:
            loss.backward()
    return left


def _moved(loss_fn: LossFunction | None, device: torch.device) -> LossFunction | None:
    """The loss on a device too, as a module of losses with weights has to be; the test's own stays where it is."""
    if not isinstance(loss_fn, nn.Module):
        return loss_fn
    return twin_of(loss_fn).to(device)


def assert_no_findings(  # noqa: PLR0913 - each may be left out
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    *,
    optimizer: MakeOptimizer | None = None,
    steps: int = 3,
    fail_on: Literal["info", "warning", "error"] = "warning",
    ignore: Iterable[str] = (),
) -> None:
    """A few training steps of a copy, under watch, bring no finding of this severity or a worse one.

    The optimizer is by default SGD with a learning rate of 0.01. Rules are ignored by their codes or the beginnings
    of these.

    >>> assert_no_findings(nn.Linear(4, 2), (torch.randn(8, 4), torch.randn(8, 2)), nn.MSELoss())
    """
    __tracebackhide__ = True
    make = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.01))
    with rehearsing(model, batch, loss_fn) as rehearsal, explained():
        trained = rehearsal.model.train()
        with _watching(trained, ignore) as watch:
            made = make([each for each in trained.parameters() if each.requires_grad])
            for step in range(steps):
                made.zero_grad()
                rehearsal.loss(seed=step).backward()
                made.step()
        findings = [each for each in watch.findings if each.severity >= Severity(fail_on)]
    if findings:
        raise AssertionError(findings_text(findings))


def findings_text(findings: Iterable[Finding]) -> str:
    """Findings as a failed test shows them."""
    return "\n\n".join(finding_text(finding) for finding in findings)


def _watching(model: nn.Module, ignore: Iterable[str]) -> Watch:
    settings = settings_here().with_flags(ignore=tuple(ignore))
    options = Options(on_finding=lambda _finding: None, experiments=False, settings=settings)
    return Watch(Session([model], options), [model])

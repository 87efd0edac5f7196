"""What of a checkpoint is restored where a training goes on from it, and code that begins anew on purpose."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

import tensorcheck
from tensorcheck.findings import Finding


class Training:
    """A training that may be resumed."""

    def __init__(self, *, lr: float = 1e-3) -> None:
        self.net = nn.Linear(4, 1)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.schedule = StepLR(self.optimizer, 5)
        self.start = 0

    def saved(self) -> io.BytesIO:
        parts: dict[str, Any] = {"net": self.net, "opt": self.optimizer, "sched": self.schedule}
        file = io.BytesIO()
        torch.save({**{name: part.state_dict() for name, part in parts.items()}, "epoch": 2}, file)
        file.seek(0)
        return file

    def fit(self) -> None:
        for _ in range(self.start, 4):
            self.optimizer.zero_grad()
            self.net(torch.rand(8, 4)).square().mean().backward()
            self.optimizer.step()
            self.schedule.step()


def checkpoint() -> io.BytesIO:
    training = Training()
    training.fit()
    return training.saved()


def found(resume: Callable[[Training, Any], None], *, lr: float = 1e-3) -> list[Finding]:
    file, training = checkpoint(), Training(lr=lr)
    with tensorcheck.watch(training.net, on_finding=list[Finding]().append) as watch:
        resume(training, torch.load(file))
        training.fit()
    return list(watch.findings)


def weights_and_epoch(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])
    training.start = state["epoch"] + 1


def without_schedule(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])
    training.optimizer.load_state_dict(state["opt"])


def test_an_optimizer_that_begins_anew_is_found() -> None:
    first = found(weights_and_epoch)[0]
    assert (first.rule, first.help) == ("TCK807", 'optimizer.load_state_dict(state["opt"])')
    assert first.site is not None
    assert first.site.code == 'training.net.load_state_dict(state["net"])'


def test_a_scheduler_that_begins_anew_beside_a_restored_optimizer_is_found() -> None:
    (finding,) = found(without_schedule)
    assert finding.rule == "TCK807"
    assert "StepLR" in finding.headline


def test_a_sample_that_is_read_from_a_file_is_no_checkpoint() -> None:
    def resume(training: Training, state: dict[str, Any]) -> None:
        without_schedule(training, state)
        sample = io.BytesIO()
        torch.save({"x": torch.rand(4)}, sample)
        sample.seek(0)
        torch.load(sample)

    assert [finding.rule for finding in found(resume)] == ["TCK807"]


def everything(training: Training, state: dict[str, Any]) -> None:
    without_schedule(training, state)
    training.schedule.load_state_dict(state["sched"])
    training.start = state["epoch"] + 1


def weights_alone(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])


def weights_and_a_line_about_them(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])
    described = f"pretrained for {state['epoch']} epochs"
    assert described


def weights_where_the_code_may_resume_too(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])
    if not state:
        training.start = state["epoch"] + 1


def a_scheduler_told_its_epoch(training: Training, state: dict[str, Any]) -> None:
    training.net.load_state_dict(state["net"])
    training.optimizer.load_state_dict(state["opt"])
    training.schedule = StepLR(training.optimizer, 5, last_epoch=state["epoch"])


@pytest.mark.parametrize(
    "resume",
    [
        everything,
        weights_alone,
        weights_and_a_line_about_them,
        weights_where_the_code_may_resume_too,
        a_scheduler_told_its_epoch,
    ],
)
def test_what_is_restored_or_begins_anew_on_purpose_is_silent(resume: Callable[[Training, Any], None]) -> None:
    assert not found(resume)


def test_an_optimizer_with_another_learning_rate_is_a_new_one() -> None:
    assert not [each for each in found(weights_and_epoch, lr=1e-4) if "Adam" in each.headline]


def test_weights_that_are_given_back_in_a_running_training_are_silent() -> None:
    training = Training()
    with tensorcheck.watch(training.net, on_finding=list[Finding]().append) as watch:
        training.fit()
        weights_and_epoch(training, torch.load(training.saved()))
        training.fit()
    assert not watch.findings

"""What `watch` promises besides leaving the training alone."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.events.backward import LossComputed
from tensorcheck.findings import Finding
from tensorcheck.observe.losses import LossProbe
from tensorcheck.observe.optimizers import OptimizerProbe
from tensorcheck.rules.shape.loss_broadcast import LossBroadcast


def broadcast(model: nn.Module) -> Tensor:
    with warnings.catch_warnings(action="ignore"):
        return functional.mse_loss(model(torch.zeros(8, 4)), torch.zeros(8))


def test_a_finding_is_printed_once_when_it_is_first_found(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            broadcast(model)
    assert capsys.readouterr().err.count("error[TCK202]") == 1
    assert [finding.count for finding in watch.findings] == [3]


def test_on_finding_is_called_instead(capsys: pytest.CaptureFixture[str]) -> None:
    model, heard = nn.Linear(4, 1), list[Finding]()
    with tensorcheck.watch(model, on_finding=heard.append):
        broadcast(model)
    assert [finding.rule for finding in heard] == ["TCK202"]
    assert capsys.readouterr().err == ""


def test_raise_on_raises_where_it_was_found() -> None:
    model = nn.Linear(4, 1)
    with (
        pytest.raises(tensorcheck.FindingError, match="TCK202") as caught,
        tensorcheck.watch(model, raise_on="error", on_finding=lambda _: None),
    ):
        broadcast(model)
    assert caught.value.finding.rule == "TCK202"


def test_steps_are_counted_by_the_models_own_optimizers() -> None:
    model, other = nn.Linear(4, 1), nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        for network in (model, other, other):
            network(torch.ones(2, 4)).mean().backward()
            torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert watch.report.record.coverage.steps == 1


def test_a_session_that_saw_nothing_says_so() -> None:
    with tensorcheck.watch(nn.Linear(4, 1)) as watch:
        pass
    assert [skipped.what for skipped in watch.report.record.coverage.skipped] == ["forward", "training"]


def test_a_loader_alone_can_be_watched() -> None:
    loader = DataLoader(TensorDataset(torch.zeros(8, 4)), batch_size=4)
    with tensorcheck.watch(loader) as watch:
        assert len(list(loader)) == 2
    assert watch.findings == ()
    with pytest.raises(TypeError, match="no watched model"):
        watch()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (nn.Linear, r"make an instance first: watch\(Linear\(...\)\)"),
        (torch.optim.SGD([torch.zeros(1)]), "optimizers are found by themselves"),
        ("model", "not str"),
    ],
)
def test_a_wrong_target_is_refused_in_one_sentence(target: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tensorcheck.watch(target)  # type: ignore[arg-type]


def test_watching_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="at least one"):
        tensorcheck.watch()


def test_the_handle_calls_the_model_and_says_what_it_watches() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        assert torch.equal(watch(torch.ones(2, 4)), model(torch.ones(2, 4)))
        assert repr(watch) == "<tensorcheck.watch of Linear: 0 findings>"


def test_the_users_exception_stays_the_same_object_with_one_note() -> None:
    raised = RuntimeError("mine")

    class Failing(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            raise raised

    model = nn.Sequential(nn.Linear(4, 784), Failing())
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model):
        model(torch.zeros(2, 4))
    assert caught.value is raised
    assert not hasattr(raised, "__notes__"), "no rule knows it, so nothing is added"

    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model):
        model(torch.zeros(2, 5))
    assert len(caught.value.__notes__) == 1


def test_keyboard_interrupt_passes_untouched() -> None:
    class Stopping(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            raise KeyboardInterrupt

    model = Stopping()
    with pytest.raises(KeyboardInterrupt) as caught, tensorcheck.watch(model) as watch:
        model(torch.zeros(1))
    assert not hasattr(caught.value, "__notes__")
    assert watch.findings == ()


def test_an_exception_that_the_script_handles_is_no_finding() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        with pytest.raises(RuntimeError):
            model(torch.zeros(8, 5))
        assert [finding.rule for finding in watch.findings] == ["TCK201"]
        model(torch.zeros(8, 4)).mean().backward()
        optimizer.step()
    assert watch.findings == ()
    assert any("handled" in skipped.why for skipped in watch.report.record.coverage.skipped)


def test_an_exception_that_the_script_handles_in_each_epoch_is_no_finding_in_the_last_either() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.zeros(8, 4)).mean().backward()
            optimizer.step()
            with pytest.raises(RuntimeError):
                model(torch.zeros(8, 5))
    assert watch.findings == ()


def test_a_direct_call_of_forward_counts_as_a_call_of_the_model() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        model.forward(torch.zeros(2, 4))
    assert [skipped.what for skipped in watch.report.record.coverage.skipped] == ["training"]


def test_a_probe_that_fails_is_switched_off_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(self: LossProbe, *args: object, **kwargs: object) -> None:
        calls.append(args)
        raise ZeroDivisionError

    monkeypatch.setattr(LossProbe, "_computed", broken)
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        broadcast(model)
        broadcast(model)
    assert len(calls) == 1
    assert [(finding.rule, finding.severity.value) for finding in watch.findings] == [("TCK001", "info")]
    assert "ZeroDivisionError" in watch.findings[0].notes[0]
    assert any(skipped.what == "LossProbe" for skipped in watch.report.record.coverage.skipped)


def test_an_optimizer_hook_that_fails_does_not_break_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(OptimizerProbe, "_step_taken", broken)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()
    with tensorcheck.watch(model) as watch:
        for _ in range(2):
            model(torch.ones(2, 4)).mean().backward()
            optimizer.step()
    assert not torch.equal(model.weight, before)
    assert [(finding.rule, finding.count) for finding in watch.findings] == [("TCK001", 1)]


def test_a_rule_that_fails_is_dropped_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LossBroadcast, event: LossComputed) -> Iterator[Finding]:
        yield from ()
        raise ZeroDivisionError

    monkeypatch.setattr(LossBroadcast, "check", broken)
    model = nn.Linear(4, 1)
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        broadcast(model)
        model(torch.zeros(8, 5))
    assert [finding.rule for finding in watch.findings] == ["TCK001", "TCK201"]


def test_a_model_whose_class_cannot_be_patched_trains_all_the_same() -> None:
    with warnings.catch_warnings(action="ignore"):
        model = torch.jit.trace(nn.Linear(4, 1), torch.zeros(2, 4))
    with tensorcheck.watch(model):
        model(torch.zeros(2, 4)).mean().backward()


def test_named_optimizers_and_loaders_are_the_only_ones() -> None:
    model = nn.Linear(4, 1)
    mine = torch.optim.SGD([model.weight], lr=0.1)
    other = torch.optim.SGD([model.bias], lr=0.1)
    with tensorcheck.watch(model, optimizer=mine) as watch:
        model(torch.ones(2, 4)).mean().backward()
        other.step()
        assert watch.report.record.coverage.steps == 0
        mine.step()
    assert watch.report.record.coverage.steps == 1


def test_explain_reads_a_traceback_that_nothing_watched() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 2))
    with pytest.raises(RuntimeError) as caught:
        model(torch.zeros(2, 4))
    (finding,) = tensorcheck.explain(caught.value).findings
    assert finding.headline == "`1` (Linear) got 8 features but was built for 9"


def test_explain_of_something_unknown_says_so() -> None:
    report = tensorcheck.explain(ValueError("nothing to do with tensors"))
    assert report.findings == ()
    assert [skipped.why for skipped in report.record.coverage.skipped] == ["no rule knows this exception"]


def test_what_on_finding_raises_reaches_the_user() -> None:
    def stop(finding: Finding) -> None:
        raise LookupError(finding.rule)

    model = nn.Linear(4, 1)
    with pytest.raises(LookupError, match="TCK202"), tensorcheck.watch(model, on_finding=stop):
        broadcast(model)

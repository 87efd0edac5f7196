"""A backward pass that raises: what the graph, the trace and the running code tell of it."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import tensorcheck
from tensorcheck.findings import Finding

SAVED_IS_TOLD = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13), reason="older graphs do not tell which tensor is meant"
)


class Overwriting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, rows: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc(rows))
        scaled = gate * 2
        gate.mul_(0.5)
        return scaled + gate


class Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 4)
        self.state: Tensor | None = None

    def forward(self, rows: Tensor) -> Tensor:
        self.state = self.cell(rows, self.state)
        return self.state


def differentiate(loss: Tensor) -> None:
    loss.backward()


def lines(finding: Finding) -> list[str]:
    """The lines of the finding's places, its own first."""
    places = [finding.site, *(related.site for related in finding.related)]
    return [place.source.strip() for place in places if place is not None]


@SAVED_IS_TOLD
def test_a_trace_knows_the_line_that_saved_a_tensor_and_the_one_that_changed_it() -> None:
    model = Overwriting()
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        loss = model(torch.rand(2, 4)).sum()
        loss.backward()
    (finding,) = watch.findings
    assert finding.rule == "TCK407"
    assert lines(finding)[0] == "gate.mul_(0.5)"
    assert "gate = torch.sigmoid(self.fc(rows))" in lines(finding)
    assert not finding.notes


@SAVED_IS_TOLD
def test_an_in_place_operation_on_a_view_is_a_change_of_what_it_views() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        hidden = model(torch.rand(2, 4)).exp()
        first = hidden[:, 0]
        first.zero_()
        hidden.sum().backward()
    (finding,) = watch.findings
    assert lines(finding)[0] == "first.zero_()"


@SAVED_IS_TOLD
def test_a_tensor_that_a_call_hands_back_unchanged_is_no_change() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        hidden = model(torch.rand(2, 4)).exp()
        same = hidden.contiguous().to(torch.float32)
        same += 1
        same.sum().backward()
    (finding,) = watch.findings
    assert lines(finding)[0] == "same += 1"


@SAVED_IS_TOLD
def test_the_step_that_changed_the_weights_of_a_loss_from_before_it_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        late = model(torch.rand(2, 4)).square().mean()
        model(torch.rand(2, 4)).mean().backward()
        optimizer.step()
        torch.rand(3).exp()  # the first operation of the next step
        late.backward()
    (finding,) = watch.findings
    assert finding.rule == "TCK407"
    assert lines(finding)[0] == "optimizer.step()"
    assert not finding.notes


def test_an_optimizers_step_changes_no_more_than_it_did() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(2, 4)).mean().backward()
        optimizer.step()
        operations = watch.trace.operations
    assert [operation.name for operation in operations] == ["rand", "linear", "mean", "step"]
    assert len(operations[-1].outputs) == 2


@SAVED_IS_TOLD
@pytest.mark.filterwarnings("ignore")  # PyTorch says where the forward call was, too
def test_anomaly_detection_tells_the_saving_line_without_a_watch() -> None:
    model = Overwriting()
    with torch.autograd.set_detect_anomaly(mode=True), pytest.raises(RuntimeError) as caught:
        model(torch.rand(2, 4)).sum().backward()
    (finding,) = tensorcheck.explain(caught.value).findings
    assert "gate = torch.sigmoid(self.fc(rows))" in lines(finding)


def test_only_what_an_earlier_backward_freed_is_blamed() -> None:
    generator, critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh()), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    with pytest.raises(RuntimeError), tensorcheck.watch(critic) as watch:
        fake = generator(torch.rand(8, 2))
        differentiate(critic(fake).mean())
        scores = critic(fake)
        differentiate(scores.square().mean())
    (finding,) = watch.findings
    assert finding.rule == "TCK406"
    assert "`fake`" in finding.headline


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_state_that_a_module_keeps_is_named(is_watched: bool) -> None:  # noqa: FBT001 - a parameter
    model = Stateful()
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model) if is_watched else nullcontext():
        for _ in range(2):
            loss = model(torch.rand(2, 4)).square().mean()
            loss.backward()
    (finding,) = tensorcheck.explain(caught.value).findings
    assert "`model.state`" in finding.headline
    assert "self.state = self.cell(rows, self.state)" in lines(finding)


def test_reading_a_graph_recomputes_no_checkpoint() -> None:
    calls = []

    def block(rows: Tensor) -> Tensor:
        calls.append(1)
        return rows.exp()

    loss = checkpoint(block, torch.rand(3, requires_grad=True), use_reentrant=False).sum()
    loss.backward()
    before = len(calls)
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    again = len(calls)
    tensorcheck.explain(caught.value)
    assert len(calls) == again >= before


def test_gradients_that_were_left_off_are_traced_to_the_line_that_left_them() -> None:
    model = nn.Linear(4, 1)
    try:
        with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
            torch.set_grad_enabled(False)
            model(torch.rand(2, 4)).mean().backward()
    finally:
        torch.set_grad_enabled(True)
    (finding,) = watch.findings
    assert finding.rule == "TCK405"
    assert lines(finding)[0].startswith("torch.set_grad_enabled(False)")


def explained(crash: Callable[[], object]) -> Finding:
    with pytest.raises(Exception) as error:  # noqa: PT011 - PyTorch raises what it likes
        crash()
    return tensorcheck.explain(error.value).findings[0]


def as_array() -> object:
    scores = torch.ones(3, requires_grad=True) * 2
    return scores.numpy()


def as_array_of_a_result() -> object:
    scores = torch.ones(3, requires_grad=True) * 2
    return scores.cpu().numpy()


def backward_twice() -> None:
    loss = torch.ones(3, requires_grad=True).exp().sum()
    loss.backward()
    loss.backward()


def backward_in_a_loop() -> None:
    loss = torch.ones(3, requires_grad=True).exp().sum()
    for _ in range(2):
        loss.backward()


def test_an_array_of_a_tensor_with_a_gradient_is_tried_without_it() -> None:
    finding = explained(as_array)
    assert (finding.help, finding.tried) == ("scores.detach().numpy()", "the call passes")


def test_a_tensor_that_is_gone_is_named_by_what_computed_it() -> None:
    finding = explained(as_array_of_a_result)
    assert finding.headline.startswith("`scores.cpu()` requires a gradient")
    assert finding.help == "scores.cpu().detach().numpy()"


def test_a_loss_that_goes_through_backward_twice_names_the_first_call() -> None:
    assert explained(backward_twice).help.startswith("loss.backward(retain_graph=True)    at ")


def test_a_loss_that_a_loop_sends_back_again_is_to_be_computed_again() -> None:
    made = "torch.ones(3, requires_grad=True).exp().sum()"
    assert explained(backward_in_a_loop).help == f"loss = {made}    before each backward"

"""Activations too many or too few before a loss, and the healthy code that looks like it."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding, Severity

Loss = Callable[[Tensor], Tensor]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
FLAGS = torch.tensor([0.0, 1.0] * 4)


def found(model: nn.Module, loss: Loss, *, steps: int = 2) -> Sequence[Finding]:
    """What is found in a few steps on logits `[8, 3]`."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4))).backward()
            optimizer.step()
    return watch.findings


def codes(loss: Loss) -> list[str]:
    return [finding.rule for finding in found(nn.Linear(4, 3), loss)]


@pytest.mark.parametrize(
    "loss",
    [
        lambda out: functional.cross_entropy(out.softmax(1), LABELS),
        lambda out: functional.cross_entropy(torch.softmax(out, dim=1).view(8, 3), LABELS),
        lambda out: functional.cross_entropy(out.softmax(1) / 0.5, LABELS),
        lambda out: functional.cross_entropy(functional.dropout(out.softmax(1), 0.1), LABELS),
        lambda out: functional.cross_entropy(out.double().softmax(1).float()[:4], LABELS[:4]),
        lambda out: functional.cross_entropy(out.log_softmax(1), LABELS),
        lambda out: functional.cross_entropy(out.sigmoid(), LABELS),
        lambda out: functional.binary_cross_entropy_with_logits(out[:, 0].sigmoid(), FLAGS),
        lambda out: nn.MultiLabelSoftMarginLoss()(out.sigmoid(), torch.ones(8, 3)),
    ],
)
def test_an_activation_before_a_loss_that_has_it_inside_is_found(loss: Loss) -> None:
    assert codes(loss) == ["TCK509"]


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.head = nn.Linear(4, 8), nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        result: Tensor = self.head(self.query(rows).softmax(-1) @ torch.rand(8, 4))
        return result


def mixture(out: Tensor) -> Tensor:
    return functional.nll_loss(torch.log(0.5 * out.softmax(1) + 0.5 * out.flip(1).softmax(1)), LABELS)


def focal(out: Tensor) -> Tensor:
    chosen = out.log_softmax(1).gather(1, LABELS[:, None])
    return -((1 - chosen.exp()) ** 2 * chosen).mean()


@pytest.mark.parametrize(
    "loss",
    [
        lambda out: functional.cross_entropy(out, LABELS, label_smoothing=0.1),
        lambda out: functional.cross_entropy(out / 2, out.detach().flip(1).softmax(1)),
        lambda out: functional.kl_div(out.log_softmax(1), out.detach().flip(1).softmax(1), reduction="batchmean"),
        lambda out: functional.cross_entropy(out.softmax(1) - 0.5, LABELS),
        lambda out: functional.cross_entropy(out.softmax(1) @ torch.rand(3, 3), LABELS),
        lambda out: functional.cross_entropy(out.sigmoid() * torch.rand(8, 3), LABELS),
        lambda out: functional.cross_entropy(out.softmax(1) * torch.rand(8, 3), LABELS),
        lambda out: functional.cross_entropy(functional.gumbel_softmax(out) @ torch.rand(3, 5), LABELS),
        lambda out: functional.nll_loss(out - out.logsumexp(1, keepdim=True), LABELS),
        lambda out: functional.nll_loss(out.log_softmax(1) @ torch.eye(3), LABELS),
        lambda out: functional.nll_loss(out.log_softmax(1), LABELS),
        lambda out: functional.binary_cross_entropy(out[:, 0].sigmoid(), FLAGS),
        lambda out: functional.binary_cross_entropy(out[:, 0].sigmoid().clamp(1e-6, 1 - 1e-6), FLAGS),
        lambda out: functional.mse_loss(out.relu(), torch.rand(8, 3)),
        lambda out: functional.mse_loss(out.relu(), -torch.rand(8, 3), reduction="none").mean(),
        lambda out: functional.cross_entropy(out.view(8, 3, 1).relu().mean(-1), LABELS),
        lambda out: functional.cross_entropy(out.relu() * -2, LABELS),
        mixture,
        focal,
    ],
)
def test_healthy_losses_are_silent(loss: Loss) -> None:
    assert codes(loss) == []


def test_the_softmax_of_an_attention_is_silent() -> None:
    assert not found(_Attention(), lambda out: functional.cross_entropy(out, LABELS))


def test_a_relu_before_the_head_is_silent() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    assert not found(model, lambda out: functional.cross_entropy(out, LABELS))


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        (lambda out: functional.nll_loss(out, LABELS), Severity.ERROR),
        (lambda out: functional.nll_loss(out.softmax(1), LABELS), Severity.WARNING),
        (lambda out: functional.kl_div(out, torch.rand(8, 3), reduction="batchmean"), Severity.ERROR),
        (lambda out: functional.binary_cross_entropy(out[:, 0].clamp(0, 1), FLAGS), Severity.WARNING),
    ],
)
def test_what_is_no_probability_where_one_is_taken_is_found(loss: Loss, severity: Severity) -> None:
    (finding,) = found(nn.Linear(4, 3), loss)

    assert (finding.rule, finding.severity) == ("TCK510", severity)


@pytest.mark.parametrize(
    "loss",
    [
        lambda out: functional.cross_entropy(out.relu(), LABELS),
        lambda out: functional.cross_entropy(functional.dropout(out.relu(), 0.2), LABELS),
        lambda out: functional.binary_cross_entropy_with_logits(out[:, 0].relu(), FLAGS),
        lambda out: functional.mse_loss(out.relu(), -torch.rand(8, 3)),
    ],
)
def test_a_relu_that_forbids_what_is_wanted_is_found(loss: Loss) -> None:
    assert codes(loss) == ["TCK511"]


def test_the_layer_that_is_too_much_is_named_where_it_was_built() -> None:
    class Digits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))

        def forward(self, rows: Tensor) -> Tensor:
            result: Tensor = self.net(rows)
            return result

    (finding,) = found(Digits(), lambda out: nn.CrossEntropyLoss()(out, LABELS))
    assert finding.headline == "`cross_entropy` is given the result of `net.1` (Softmax)"
    assert finding.site is not None
    assert finding.site.code == "nn.Softmax(dim=1)"
    assert [place.site.code for place in finding.related] == ["nn.CrossEntropyLoss()(out, LABELS)"]
    assert finding.help == "nn.Identity()"


def test_the_function_that_is_too_much_is_left_out_of_its_line() -> None:
    class Digits(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return torch.softmax(super().forward(rows), dim=1)

    (finding,) = found(Digits(4, 3), lambda out: functional.cross_entropy(out, LABELS))
    assert finding.site is not None
    assert finding.site.code == "torch.softmax(super().forward(rows), dim=1)"
    assert finding.help == "super().forward(rows)"


def test_a_first_loss_of_a_model_whose_weights_were_loaded_is_silent() -> None:
    model, pixels = nn.Linear(4, 3), torch.tensor([[900.0, 0, 0, 900], [0, 900, 900, 0]] * 4)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        model.load_state_dict({"weight": torch.eye(3, 4), "bias": torch.zeros(3)})
        functional.cross_entropy(model(pixels), LABELS).backward()

    assert list(watch.findings) == []


def test_a_first_loss_of_logits_that_are_scaled_on_purpose_is_silent() -> None:
    assert codes(lambda out: functional.cross_entropy(out.tanh() * 64, LABELS)) == []
    assert codes(lambda out: functional.cross_entropy(out * 64, LABELS)) == []

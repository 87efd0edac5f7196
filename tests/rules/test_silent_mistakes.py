"""Mistakes that raise nothing: what they look like, and what healthy code looks like beside them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

Loss = Callable[[Tensor, Tensor], Tensor]


def found_by(loss: Loss) -> list[str]:
    """The codes of what is found in a few steps on predictions `[8, 1]` and targets `[8]`."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4)), torch.rand(8)).backward()
            optimizer.step()
    return [finding.rule for finding in watch.findings]


def test_a_difference_of_a_column_and_a_row_is_found() -> None:
    assert found_by(lambda scores, targets: ((scores - targets) ** 2).mean()) == ["TCK202"]


def test_a_difference_the_other_way_round_is_found() -> None:
    assert found_by(lambda scores, targets: (targets - scores).abs().sum()) == ["TCK202"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, targets: ((scores.squeeze(1) - targets) ** 2).mean(),
        lambda scores, targets: ((scores - targets.unsqueeze(1)) ** 2).mean(),
        lambda scores, targets: (scores.squeeze(1)[:, None] - targets).abs().mean(),
        lambda scores, targets: (scores - scores.squeeze(1)).relu().mean() + 0 * targets.sum(),
        lambda scores, targets: (scores - scores.T).relu().mean() + 0 * targets.sum(),
        lambda scores, targets: (scores - targets).abs().min(dim=1).values.mean(),
        lambda scores, targets: (scores.mean(dim=1, keepdim=True) - targets).pow(2).mean(),
    ],
    ids=["squeezed", "unsqueezed", "put in by None", "own pairs", "transposed", "nearest target", "kept dim"],
)
def test_pairs_that_are_asked_for_are_silent(loss: Loss) -> None:
    assert found_by(loss) == []


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_the_dataset_that_made_the_row_is_named() -> None:
    table = torch.rand(16, 5)
    columns = TensorDataset(table[:, :4], table[:, 4])
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, prices in DataLoader(columns, batch_size=8):
            nn.functional.mse_loss(model(rows), prices)

    (finding,) = watch.findings
    assert finding.related[-1].site.source.strip() == "columns = TensorDataset(table[:, :4], table[:, 4])"


def train(model: nn.Module, step: Callable[[torch.optim.Optimizer], object], before: Callable[[], object]) -> list[str]:
    """What is found in three steps, with something done before and after each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            before()
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            step(optimizer)
    return [finding.rule for finding in watch.findings]


def test_a_mode_that_is_computed_and_never_training_is_found() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    phase = "train"

    assert train(model, lambda _: None, lambda: model.train(phase == "training")) == ["TCK502"]


def test_frozen_statistics_are_silent() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    assert train(model, lambda _: None, model.eval) == []


def epochs(order: str, *, scaled: bool = False) -> list[str]:
    """What is found in three epochs of two steps, with the scheduler at their heads or ends."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            if order == "first":
                scheduler.step()
            for _ in range(2):
                optimizer.zero_grad()
                scaler.scale(model(torch.rand(8, 4)).square().mean()).backward()
                scaler.step(optimizer)
                scaler.update()
            if order == "last":
                scheduler.step()
    return [finding.rule for finding in watch.findings]


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_a_scheduler_at_the_head_of_each_epoch_is_found() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            scheduler.step()
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    assert [finding.rule for finding in watch.findings] == ["TCK501"]


def test_a_scheduler_at_the_end_of_each_epoch_is_silent() -> None:
    assert epochs("last") == []


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_with_a_gradient_scaler_the_order_says_nothing() -> None:
    assert epochs("first", scaled=True) == []


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_a_schedule_that_is_wound_forward_is_silent() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(5):
            scheduler.step()
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            scheduler.step()

    assert [finding.rule for finding in watch.findings] == []


def test_gradients_zeroed_on_another_model_are_named() -> None:
    model, target = nn.Linear(4, 1), nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            target.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK404"
    assert [place.site.code for place in finding.related] == ["target.zero_grad()"]


class EncoderDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(4, 6)
        self.decoder = nn.GRU(6, 6)

    def forward(self, words: Tensor) -> Tensor:
        outputs, state = self.encoder(words)
        out: Tensor = self.decoder(outputs[:1].detach() + outputs.mean(), state.detach())[0]
        return out


def test_a_second_input_without_a_gradient_is_silent_while_others_have_one() -> None:
    model = EncoderDecoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(5, 8, 4)).square().mean().backward()
            optimizer.step()

    assert [finding.rule for finding in watch.findings] == []


class _Blocks(nn.Module):
    """A network that keeps its blocks in a list of this kind."""

    def __init__(self, kind: Callable[[list[nn.Module]], object]) -> None:
        super().__init__()
        self.blocks = kind([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        for block in self.blocks:  # type: ignore[attr-defined]
            inputs = block(inputs)
        result: Tensor = self.head(inputs)
        return result


class _Centres(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(1))

    def forward(self, scores: Tensor) -> Tensor:
        return (scores - self.centre).square().mean()


def forgotten_in(model: nn.Module, loss: Callable[[Tensor], Tensor], parameters: list[nn.Parameter]) -> list[Finding]:
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4))).backward()
            optimizer.step()
    return list(watch.findings)


def test_layers_in_a_plain_list_are_found() -> None:
    model = _Blocks(list)
    (finding,) = forgotten_in(model, Tensor.mean, [*model.parameters()])
    assert finding.rule == "TCK402"
    assert "`blocks[0].weight`" in finding.got
    assert [place.site.code for place in finding.related][
        -1
    ] == "self.blocks = kind([nn.Linear(4, 4), nn.Linear(4, 4)])"


def test_layers_in_a_plain_list_that_the_optimizer_holds_are_silent() -> None:
    model = _Blocks(list)
    parameters = [*model.parameters(), *(each for block in model.blocks for each in block.parameters())]  # type: ignore[attr-defined]
    assert forgotten_in(model, Tensor.mean, parameters) == []


def test_the_parameters_of_a_loss_that_no_optimizer_holds_are_found() -> None:
    model, centres = nn.Linear(4, 1), _Centres()
    (finding,) = forgotten_in(model, centres, [*model.parameters()])
    assert (finding.rule, ".centre`" in finding.got) == ("TCK402", True)


def test_a_network_that_is_looked_at_by_a_loss_is_silent() -> None:
    model, judge = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 1))
    assert forgotten_in(model, lambda scores: judge(scores).mean(), [*model.parameters()]) == []


def test_a_residual_of_a_differential_equation_is_found() -> None:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            points = torch.rand(8, 1, requires_grad=True)
            (slope,) = torch.autograd.grad(model(points).square().sum(), points, create_graph=True)
            optimizer.zero_grad()
            force = points[:, 0].sin()
            (slope - force).square().mean().backward()
            optimizer.step()
    assert [finding.rule for finding in watch.findings] == ["TCK202"]
    assert [place.site.code for place in watch.findings[0].related][-1] == "points[:, 0]"


def test_pairs_that_are_stacked_before_their_mean_are_found() -> None:
    def pinball(scores: Tensor, targets: Tensor) -> Tensor:
        errors = targets - scores
        return torch.stack([torch.max(q * errors, (q - 1) * errors) for q in (0.1, 0.9)]).sum(dim=0).mean()

    assert found_by(pinball) == ["TCK202"]


def test_what_the_running_code_names_is_not_asked_what_it_is() -> None:
    class Lazy:
        @property  # type: ignore[misc]  # it is never set
        def __class__(self) -> type:
            msg = "asked"
            raise RuntimeError(msg)

        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    lazy = Lazy()
    model = nn.Linear(4, 1)
    assert forgotten_in(model, Tensor.mean, [*model.parameters()]) == []
    del lazy

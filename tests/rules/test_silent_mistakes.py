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


def rows_of(batch: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Of a table's lines, the numbers and, as one row, the prices."""
    table = torch.stack([line[0] for line in batch])
    return table[:, :4], table[:, 4].unsqueeze(0)


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_row_of_targets_that_the_collate_function_made_is_found_there() -> None:
    model = nn.Linear(4, 1)
    loader = DataLoader(TensorDataset(torch.rand(16, 5)), batch_size=8, collate_fn=rows_of)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, prices in loader:
            nn.functional.l1_loss(model(rows), prices.float())

    (finding,) = watch.findings
    assert finding.rule == "TCK202"
    assert finding.help == "nn.functional.l1_loss(model(rows), prices.float().T)"
    assert finding.related[-1].site.source.strip() == "return table[:, :4], table[:, 4].unsqueeze(0)"


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_pairs_of_a_column_and_a_row_of_the_loops_own_are_silent() -> None:
    model = nn.Linear(4, 1)
    columns = TensorDataset(torch.rand(16, 4), torch.rand(16))
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, prices in DataLoader(columns, batch_size=8):
            scores = model(rows)
            all_prices, later = prices[None], prices.reshape(1, -1).float()
            nn.functional.l1_loss(scores, all_prices)
            nn.functional.l1_loss(scores, later)
            nn.functional.l1_loss(scores, scores.T.detach())
            nn.functional.l1_loss(torch.cdist(rows, rows)[:, :1], torch.rand(1, 8))

    assert list(watch.findings) == []


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


def test_the_help_for_gradients_that_were_not_zeroed_names_the_optimizer() -> None:
    model = nn.Linear(4, 1)
    optimizers = {"head": torch.optim.SGD(model.parameters(), lr=0.01)}
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            model(torch.rand(8, 4)).square().mean().backward()
            for slow in optimizers.values():
                slow.step()

    assert watch.findings[0].help.startswith("slow.zero_grad() ")


def test_parameters_of_a_sequential_are_named_with_their_layer_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        model(torch.rand(8, 4)).square().mean().backward()
        optimizer.step()

    assert watch.findings[0].got.endswith("none holds `0.weight` (Linear), `0.bias`")
    assert watch.findings[0].headline == "2 parameters get gradients but are in no optimizer"


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


def test_a_device_that_was_noted_before_the_weights_moved_is_named() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.where = nn.Embedding(4, 2)
            self.device = self.where.weight.device

        def forward(self, rows: Tensor) -> Tensor:
            steps = torch.arange(4, device=self.device)
            out: Tensor = rows + self.where(steps)
            return out

    with torch.device("meta"):
        model = Positions()
    model.to_empty(device="cpu")
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        model(torch.ones(4, 2))

    (finding,) = watch.findings
    assert finding.headline == "`where` is on cpu but got `steps` on meta"
    assert [related.note for related in finding.related][-1] == "`self.device` is meta from here on"


def found_of_two_columns(loss: Loss) -> list[str]:
    """The codes of what is found where a model gives a mean and a spread, `[8, 2]`, for targets `[8]`."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4)), torch.rand(8)).backward()
            optimizer.step()
    return [finding.rule for finding in watch.findings]


@pytest.mark.parametrize(
    "loss",
    [
        lambda both, targets: ((targets - both[:, :1]) ** 2).mean(),
        lambda both, targets: ((targets - both.chunk(2, 1)[0]) ** 2).mean(),
        lambda both, targets: -torch.distributions.Normal(both[:, 0:1], both[:, 1:].exp()).log_prob(targets).mean(),
    ],
    ids=["slice", "chunk", "normal"],
)
def test_a_column_cut_from_a_models_output_against_a_row_is_found(loss: Loss) -> None:
    assert found_of_two_columns(loss) == ["TCK202"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda both, targets: ((targets - both[:, 0]) ** 2).mean(),
        lambda both, targets: ((targets.unsqueeze(1) - both[:, :1]) ** 2).mean(),
        lambda both, targets: (both[:, :1] - both[:, 0]).relu().mean() + 0 * targets.sum(),
        lambda both, targets: (both[:, :1] - targets).abs().min(dim=1).values.mean(),
        lambda both, targets: torch.cdist(both[:, :1], targets[:, None]).mean(),
    ],
    ids=["one column", "unsqueezed", "own pairs", "nearest target", "cdist"],
)
def test_columns_cut_on_purpose_are_silent(loss: Loss) -> None:
    assert found_of_two_columns(loss) == []


def found_in_loader(targets: Tensor, loss: Loss) -> list[Finding]:
    model = nn.Linear(4, 3)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, wanted in DataLoader(TensorDataset(torch.rand(16, 4), targets), batch_size=8):
            loss(model(rows), wanted).backward()
    return list(watch.findings)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", [nn.MSELoss(), lambda scores, wanted: nn.MSELoss()(wanted, scores)])
def test_a_dim_too_many_in_what_a_loader_gives_is_found(loss: Loss) -> None:
    (finding,) = found_in_loader(torch.rand(16, 1, 3), loss)
    assert (finding.rule, "wanted.squeeze(1)" in finding.help) == ("TCK202", True)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, wanted: nn.functional.mse_loss(scores, wanted.unsqueeze(1)),
        lambda scores, wanted: nn.functional.mse_loss(scores[:, None], wanted),
        lambda scores, wanted: nn.functional.mse_loss(scores, wanted[:1]),
    ],
    ids=["unsqueezed", "put in by None", "one target for all"],
)
def test_pairs_of_what_a_loader_gives_that_are_asked_for_are_silent(loss: Loss) -> None:
    assert found_in_loader(torch.rand(16, 3), loss) == []


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_the_column_that_gather_keeps_is_named_and_squeezed() -> None:
    model, actions = nn.Linear(4, 2), torch.zeros(8, dtype=torch.long)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        chosen = model(torch.rand(8, 4)).gather(1, actions.view(-1, 1))
        nn.functional.smooth_l1_loss(chosen, torch.rand(8)).backward()
    (finding,) = watch.findings
    assert finding.expected.startswith("float32[8] against float32[8] ")
    assert [place.site.code for place in finding.related] == ["model(torch.rand(8, 4)).gather(1, actions.view(-1, 1))"]
    assert finding.help == "nn.functional.smooth_l1_loss(chosen.squeeze(1), torch.rand(8))"


def test_gradients_zeroed_once_an_epoch_are_said_to_be_zeroed_there() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer.zero_grad()
        for _ in range(4):
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    (finding,) = watch.findings
    assert [(place.site.code, place.note) for place in finding.related] == [
        ("optimizer.zero_grad()", "the gradients are zeroed here, but not in each step")
    ]


def test_a_zero_grad_without_parentheses_is_named() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad  # noqa: B018 - the mistake
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    (finding,) = watch.findings
    assert [place.site.code for place in finding.related] == ["optimizer.zero_grad"]
    assert finding.help == "optimizer.zero_grad()"


def test_a_train_without_parentheses_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(2):
            model.train  # noqa: B018 - the mistake
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                model(torch.rand(8, 4))
    (finding,) = watch.findings
    assert (finding.related[0].site.code, finding.help) == ("model.train", "model.train()")

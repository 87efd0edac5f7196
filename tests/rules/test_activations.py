"""Units that never open, activations at their limits; and healthy ones."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding

CODES = {"TCK434", "TCK519", "TCK608", "TCK609"}


def trained(
    model: nn.Module,
    batch: Callable[[], Tensor] = lambda: torch.rand(16, 8),
    *,
    rate: float = 1e-3,
    steps: int = 16,
) -> list[Finding]:
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            (model(batch()) - 1.0).square().mean().backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule in CODES]


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def low(layer: nn.Module, bias: float = -20.0) -> nn.Module:
    nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]  # of a layer
    return layer


def wide(layer: nn.Linear, std: float = 100.0) -> nn.Linear:
    nn.init.normal_(layer.weight, std=std)
    return layer


class Net(nn.Module):
    def __init__(self, hidden: nn.Module, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.hidden = hidden
        self.head = nn.Linear(32, 2)
        self.activation = activation

    def forward(self, rows: Tensor) -> Tensor:
        hidden: Tensor = self.activation(self.hidden(rows))
        return self.head(hidden)  # type: ignore[no-any-return]  # a layer's call


@pytest.mark.parametrize(
    "activation",
    [
        functional.relu,
        torch.relu,
        torch.relu_,
        nn.ReLU(),
        nn.ReLU(inplace=True),
        lambda hidden: hidden.clamp(min=0),
        lambda hidden: functional.relu(hidden + 1),
        functional.relu6,
    ],
)
def test_a_dead_layer_is_found_once_where_it_was_built(activation: Callable[[Tensor], Tensor]) -> None:
    (finding,) = trained(Net(low(nn.Linear(8, 32)), activation))

    assert finding.rule == "TCK608"
    assert finding.module == "hidden"
    assert "-20" in "".join(finding.notes)


def test_a_dead_convolution_is_found_by_its_channels() -> None:
    model = nn.Sequential(low(nn.Conv2d(3, 16, 3)), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(2, 3, 8, 8))
    assert rules(trained(model, lambda: torch.rand(8, 3, 8, 8))) == ["TCK608"]


def test_units_that_a_step_shuts_are_told_of_at_the_optimizer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
        for _ in range(6):
            optimizer.zero_grad()
            (model(torch.rand(64, 8)) + 5.0).square().mean().backward()
            optimizer.step()

    (finding,) = [finding for finding in watch.findings if finding.rule == "TCK608"]
    assert finding.site is not None
    assert finding.site.code == "torch.optim.SGD(model.parameters(), lr=2.0)"
    assert "likely too large" in "".join(finding.notes)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)),
        nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU()),
        nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2)),
        nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(), nn.Linear(32, 2)),
        Net(nn.Linear(8, 32), lambda hidden: functional.relu(0.3 - hidden)),
        Net(nn.Linear(8, 32), lambda hidden: hidden + functional.relu(-hidden.abs())),
        nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Sigmoid(), nn.Linear(32, 2)),
    ],
)
def test_living_units_are_silent(model: nn.Module) -> None:
    assert not trained(model)


def test_a_frozen_body_is_silent() -> None:
    body = nn.Sequential(low(nn.Linear(8, 32)), nn.ReLU()).requires_grad_(requires_grad=False)
    assert "TCK608" not in rules(trained(nn.Sequential(body, nn.Linear(32, 2))))


def test_rows_that_are_all_alike_do_not_make_units_dead() -> None:
    assert "TCK608" not in rules(
        trained(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2)), lambda: torch.ones(16, 8))
    )


def test_a_layer_that_begins_at_zero_is_not_called_dead() -> None:
    layer = nn.Linear(8, 32)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    assert "TCK608" not in rules(trained(nn.Sequential(layer, nn.ReLU(), nn.Linear(32, 2))))


@pytest.mark.parametrize("activation", [torch.tanh, torch.sigmoid, functional.sigmoid, nn.Tanh(), Tensor.tanh])
def test_a_saturated_activation_between_layers_is_found_once(activation: Callable[[Tensor], Tensor]) -> None:
    (finding,) = trained(Net(wide(nn.Linear(8, 32)), activation))

    assert finding.rule == "TCK609"
    assert finding.module == "hidden"


def test_an_answer_that_is_sure_is_silent() -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), wide(nn.Linear(32, 16)), nn.Sigmoid())
    assert "TCK609" not in rules(trained(model))


def test_a_gate_that_begins_shut_is_silent() -> None:
    gate = low(nn.Linear(8, 32))
    assert "TCK609" not in rules(trained(Net(gate, lambda hidden: 1 - torch.sigmoid(hidden))))


def test_large_data_is_told_of_by_other_rules() -> None:
    model = Net(wide(nn.Linear(8, 32), 1.0), torch.tanh)
    assert "TCK609" not in rules(trained(model, lambda: torch.rand(16, 8) * 255 - 128))


def test_tanh_made_steep_on_purpose_is_silent() -> None:
    assert not trained(Net(nn.Linear(8, 32), lambda hidden: torch.tanh(1000 * hidden)), rate=1e-9)


def test_one_relu_for_many_layers_is_many() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(8, 8), low(nn.Linear(8, 16)), nn.Linear(16, 2)])
            self.act = nn.ReLU()

        def forward(self, rows: Tensor) -> Tensor:
            for layer in self.layers[:-1]:
                rows = self.act(layer(rows))
            return self.layers[-1](rows)  # type: ignore[no-any-return]  # a layer's call

    (finding,) = trained(Deep())
    assert finding.module == "layers.1"


class Sunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 32)
        self.head = nn.Linear(32, 2)
        nn.init.constant_(self.hidden.bias, -20.0)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(functional.relu(self.hidden(rows)))  # type: ignore[no-any-return]  # a layer's call


def test_the_line_that_sank_the_bias_is_the_place() -> None:
    (finding,) = trained(Sunk())

    assert finding.site is not None
    assert finding.site.code == "nn.init.constant_(self.hidden.bias, -20.0)"


def test_of_several_layers_the_first_is_told_of() -> None:
    layers = [wide(nn.Linear(8, 32)), nn.Tanh(), wide(nn.Linear(32, 32)), nn.Tanh(), nn.Linear(32, 2)]
    (finding,) = trained(nn.Sequential(*layers))
    assert (finding.rule, finding.module) == ("TCK609", "0")


def sparse(alive: int, width: int = 1024) -> nn.Module:
    layer = nn.Linear(8, width)
    with torch.no_grad():
        layer.bias.fill_(-20.0)
        layer.bias[:alive] = 20.0
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(width, 2))


def test_a_sparse_code_of_many_units_is_silent() -> None:
    assert not trained(sparse(16))


def test_many_units_that_are_all_dead_are_found() -> None:
    assert rules(trained(sparse(0))) == ["TCK608"]

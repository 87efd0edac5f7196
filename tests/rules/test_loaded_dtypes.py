"""States of another dtype than the model's, and those that are healthy."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding, Severity

State = dict[str, Tensor]


class Tokens(nn.Module):
    """Its input is of integers, so nothing raises in whatever dtype it is."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.head = nn.Linear(8, 10)
        self.register_buffer("scale", torch.tensor([1, 1]))
        self.norm = nn.BatchNorm1d(10)

    def forward(self, tokens: Tensor) -> Any:
        return self.norm(self.head(self.embed(tokens)))


def found(
    change: Callable[[State], State], *, model: nn.Module | None = None, trains: bool = True, **settings: Any
) -> Sequence[Finding]:
    """What is found where a changed state is loaded, and the model trained."""
    model = model or Tokens()
    state = change(dict(Tokens().state_dict()))
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        model.load_state_dict(state, **settings)
        train(model, 4 if trains else 0)
    return watch.findings


def train(model: nn.Module, steps: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        tokens = torch.randint(0, 10, (8,))
        nn.functional.cross_entropy(model(tokens), tokens).backward()
        optimizer.step()


def cast(dtype: torch.dtype) -> Callable[[State], State]:
    """Each floating-point tensor of a state in another dtype."""
    return lambda state: {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}


def with_value(key: str, value: Tensor) -> Callable[[State], State]:
    return lambda state: {**state, key: value}


def test_fractions_in_an_integer_buffer_are_told_of_where_that_is_made() -> None:
    (finding,) = found(with_value("scale", torch.tensor([1.0, 0.25])))
    assert (finding.rule, finding.severity) == ("TCK806", Severity.WARNING)
    assert finding.headline == "`scale` is int64: 0.25 was loaded into it and is 0"
    assert finding.site is not None
    assert finding.site.code == "torch.tensor([1, 1])"
    assert "load_state_dict" in finding.related[0].site.code


def test_infinities_in_half_precision_are_told_of() -> None:
    (finding, *_) = found(with_value("norm.running_var", torch.full((10,), 1e6)), model=Tokens().half(), trains=False)
    assert finding.headline == "`norm.running_var` is float16: 1e+06 was loaded into it and is inf"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_that_is_trained_in_the_dtype_of_the_file_is_found(dtype: torch.dtype) -> None:
    (finding,) = found(cast(dtype), assign=True)
    assert (finding.rule, finding.severity) == ("TCK806", Severity.WARNING)
    assert str(dtype).removeprefix("torch.") in finding.headline
    assert finding.site is not None
    assert finding.site.code == "model.load_state_dict(state, **settings)"


def test_a_model_that_is_trained_on_from_half_precision_is_worth_knowing() -> None:
    (finding,) = found(cast(torch.float16))
    assert (finding.rule, finding.severity) == ("TCK806", Severity.INFO)


def unchanged(state: State) -> State:
    return state


@pytest.mark.parametrize(
    "change",
    [
        unchanged,
        with_value("scale", torch.tensor([1.0, 2.0])),
        with_value("scale", torch.tensor([1, 2], dtype=torch.int32)),
        with_value("norm.num_batches_tracked", torch.tensor(1.5)),
        with_value("norm.running_var", torch.full((10,), float("inf"), dtype=torch.float64)),
    ],
)
def test_a_state_of_which_all_is_kept_is_silent(change: Callable[[State], State]) -> None:
    assert not [each for each in found(change, trains=False) if each.rule == "TCK806"]


@pytest.mark.parametrize("settings", [{"assign": True}, {"assign": False}])
def test_a_model_that_is_not_trained_may_have_any_dtype(settings: dict[str, Any]) -> None:
    assert not found(cast(torch.bfloat16), trains=False, **settings)


def test_small_numbers_that_half_precision_rounds_to_zero_are_silent() -> None:
    tiny = with_value("norm.running_mean", torch.full((10,), 1e-9))
    assert not found(tiny, model=Tokens().half(), trains=False)


def test_a_model_on_the_meta_device_had_no_dtype_to_lose() -> None:
    with torch.device("meta"):
        model = Tokens()
    assert not [each for each in found(cast(torch.bfloat16), model=model, assign=True) if each.rule == "TCK806"]


def test_a_model_that_is_cast_back_is_silent() -> None:
    model = Tokens()
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        model.load_state_dict(cast(torch.bfloat16)(dict(Tokens().state_dict())), assign=True)
        model.float()
        train(model, 4)
    assert not watch.findings


def test_a_teacher_in_half_precision_is_silent() -> None:
    model, teacher = Tokens(), Tokens().requires_grad_(False)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        teacher.load_state_dict(cast(torch.bfloat16)(dict(model.state_dict())), assign=True)
        train(model, 4)
    assert not watch.findings


def test_an_average_in_another_precision_is_silent() -> None:
    model = Tokens()
    average = copy.deepcopy(model).double()
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(3):
            train(model, 2)
            model.load_state_dict(average.state_dict())
    assert not watch.findings


def test_loading_changes_no_random_number_and_no_weight() -> None:
    model, watched = Tokens(), Tokens()
    state = cast(torch.float16)(dict(model.state_dict()))
    torch.manual_seed(0)
    model.load_state_dict(state)
    train(model, 3)
    torch.manual_seed(0)
    with tensorcheck.watch(watched, on_finding=list[Finding]().append):
        watched.load_state_dict(state)
        train(watched, 3)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), watched.parameters(), strict=True))

"""What `strict=False` passes over, and the healthy code that loads a part on purpose."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Load = Callable[[nn.Module, Mapping[str, Any]], object]


class Net(nn.Module):
    def __init__(self, *, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4, 8)
        self.head = nn.Linear(8, classes)


def let_go(model: nn.Module, state: Mapping[str, Any]) -> None:
    model.load_state_dict(state, strict=False)


def found(state: Mapping[str, Any], load: Load = let_go, model: nn.Module | None = None) -> list[Finding]:
    model = model or Net()
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        load(model, state)
    return list(watch.findings)


def renamed(state: Mapping[str, Tensor], **names: str) -> dict[str, Tensor]:
    """The state with other names for some of the model's parts."""
    split = ((*key.partition("."), value) for key, value in state.items())
    return {f"{names.get(part, part)}.{rest}": value for part, _, rest, value in split}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "backbone.", "module._orig_mod."])
def test_a_prefix_in_the_file_is_named(prefix: str) -> None:
    (finding,) = found({f"{prefix}{key}": value for key, value in Net().state_dict().items()})
    assert finding.rule == "TCK804"
    assert f"`{prefix}`" in finding.headline
    assert f'removeprefix("{prefix}")' in (finding.help or "")


def test_a_prefix_of_the_model_is_named() -> None:
    (finding,) = found(Net().state_dict(), model=nn.ModuleDict({"backbone": Net()}))
    assert finding.rule == "TCK804"
    assert finding.help == "model.backbone.load_state_dict(state)"


def test_a_prefix_is_named_where_the_file_holds_more_than_the_model() -> None:
    state = {f"encoder.{key}": value for key, value in Net().state_dict().items()} | {"decoder.weight": torch.ones(2)}
    (finding,) = found(state)
    assert finding.rule == "TCK804"


def test_a_whole_checkpoint_loads_nothing() -> None:
    (finding,) = found({"epoch": 3, "net": Net().state_dict()})
    assert finding.rule == "TCK803"
    assert finding.help == 'model.load_state_dict(state["net"])'


@pytest.mark.parametrize("state", [{}, {"fc.weight": torch.ones(2, 2)}])
def test_a_state_without_a_key_that_fits_loads_nothing(state: dict[str, Tensor]) -> None:
    assert [finding.rule for finding in found(state)] == ["TCK803"]


def test_a_layer_under_another_name_is_found() -> None:
    (finding,) = found(renamed(Net().state_dict(), hidden="fc1"))
    assert finding.rule == "TCK803"
    assert finding.expected == "`hidden.weight`, `hidden.bias`"


def test_most_layers_under_other_names_are_found_beside_a_new_head() -> None:
    state = renamed(Net(classes=10).state_dict(), conv="features", norm="bn", head="fc")
    assert [finding.rule for finding in found(state)] == ["TCK803"]


def test_a_result_that_nobody_reads_is_let_go() -> None:
    def load(model: nn.Module, state: Mapping[str, Any]) -> None:
        _ignored = model.load_state_dict(state, strict=False)

    assert [finding.rule for finding in found({}, load)] == ["TCK803"]


def returned(model: nn.Module, state: Mapping[str, Any]) -> object:
    return model.load_state_dict(state, strict=False)


def printed(model: nn.Module, state: Mapping[str, Any]) -> None:
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing or unexpected


def of_one_attribute(model: nn.Module, state: Mapping[str, Any]) -> None:
    assert model.load_state_dict(state, strict=False).missing_keys


@pytest.mark.parametrize("load", [returned, printed, of_one_attribute])
@pytest.mark.parametrize("state", [{}, {"module.conv.bias": torch.zeros(4)}, {"model": Net().state_dict()}])
def test_code_that_reads_what_was_left_out_is_silent(load: Load, state: Mapping[str, Any]) -> None:
    assert not found(state, load)


def new_head() -> Mapping[str, Any]:
    return renamed(Net(classes=10).state_dict(), head="fc")


def new_head_of_as_many_classes() -> Mapping[str, Any]:
    return renamed(Net().state_dict(), head="fc")


def without_its_head() -> Mapping[str, Any]:
    return {key: value for key, value in Net().state_dict().items() if not key.startswith("head")}


def with_a_decoder() -> Mapping[str, Any]:
    return {**Net().state_dict(), "decoder.weight": torch.ones(3, 3)}


def with_a_projector() -> Mapping[str, Any]:
    """A backbone that was trained without labels; its projector has a layer just like ours."""
    state = renamed(without_its_head(), hidden="projector")
    return {**state, "projector.2.weight": torch.ones(128, 8), "projector.2.bias": torch.ones(128)}


def with_a_teacher() -> Mapping[str, Any]:
    """The head was taken out, but not the teacher's."""
    return {**without_its_head(), **{f"teacher.{key}": value for key, value in Net().state_dict().items()}}


def without_counters() -> Mapping[str, Any]:
    """As PyTorch saved them before it counted batches."""
    return {key: value for key, value in Net().state_dict().items() if "num_batches" not in key}


def without_a_layer() -> Mapping[str, Any]:
    return {key: value for key, value in Net().state_dict().items() if not key.startswith("norm")}


def an_adapter() -> Mapping[str, Any]:
    return {key: value for key, value in Net().state_dict().items() if key.startswith("hidden")}


@pytest.mark.parametrize(
    "state",
    [
        new_head,
        new_head_of_as_many_classes,
        without_its_head,
        with_a_decoder,
        with_a_projector,
        with_a_teacher,
        without_counters,
        without_a_layer,
        an_adapter,
        lambda: Net().state_dict(),
    ],
)
def test_a_part_that_is_loaded_on_purpose_is_silent(state: Callable[[], Mapping[str, Any]]) -> None:
    assert not found(state())


def test_tied_weights_are_loaded_by_either_name() -> None:
    model = nn.ModuleDict(
        {"embedding": nn.Embedding(5, 4), "body": nn.Linear(4, 4), "head": nn.Linear(4, 5, bias=False)}
    )
    model["head"].weight = model["embedding"].weight
    state = {key: value for key, value in model.state_dict().items() if key != "embedding.weight"}
    assert not found({**state, "tok.weight": torch.ones(5, 4)}, model=model)


def test_weights_without_their_running_statistics_are_found() -> None:
    (finding,) = found({name: value.detach() for name, value in Net().named_parameters()})
    assert finding.rule == "TCK805"
    assert finding.expected == "`norm.running_mean`, `norm.running_var`"

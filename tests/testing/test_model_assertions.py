"""Assertions of models, each with one that passes and one that fails, and the message of the latter."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tensorcheck import testing

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randn(8, 1, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(8) % 3


def message(assertion: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion()
    return str(raised.value)


class Net(nn.Module):
    """Two layers, and one that is never called."""

    def __init__(self, *, uses_all: bool = True) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 1)
        self.spare = nn.Linear(8, 1)
        self.uses_all = uses_all

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.body(x))
        out: Tensor = self.head(features)
        return out + self.spare(features) if self.uses_all else out


class Cut(nn.Module):
    """Its first layer gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).detach())
        return out


class Calls(nn.Module):
    """A module that does what a function does."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.function = function

    def forward(self, x: Tensor) -> Any:  # whatever the function returns
        return self.function(self, x)


def calls(function: Callable[[Any, Tensor], Any]) -> Calls:
    return Calls(function)


def test_a_model_that_trains_passes_and_stays_as_it_is() -> None:
    model = Net()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    drawn = torch.get_rng_state()
    testing.assert_trains(model, (X, Y), nn.MSELoss())
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


def test_a_layer_without_gradient_does_not_train() -> None:
    assert message(lambda: testing.assert_trains(Cut(), (X, Y), nn.MSELoss())).splitlines()[:2] == [
        "`Cut` does not train on this batch",
        "  received no gradient: body.weight, body.bias",
    ]


def test_what_may_stay_is_excepted() -> None:
    testing.assert_trains(Cut(), (X, Y), nn.MSELoss(), except_for=["body"])
    testing.assert_trains(Cut(), (X, Y), nn.MSELoss(), except_for=["*.weight", "body.bias"])


def test_a_loss_that_does_not_fall_is_told() -> None:
    told = message(
        lambda: testing.assert_trains(
            Net(), (X, Y), lambda out, target: -((out - target) ** 2).mean().exp() * 0 + out.sum() * 0 + 1
        )
    )
    assert "the loss does not fall: it was 1 and is 1 after 20 steps" in told


def test_a_loss_that_is_no_number_is_told() -> None:
    told = message(lambda: testing.assert_trains(Net(), (X, Y), lambda out, target: (out - target).sum() / 0 * 0))
    assert "the loss is nan in step 0" in told


def test_a_frozen_parameter_that_moves_is_told() -> None:
    class Moving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)
            self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            self.scale.data += 1
            out: Tensor = self.layer(x)
            return out

    assert "moved, and is frozen: scale" in message(lambda: testing.assert_trains(Moving(), (X, Y), nn.MSELoss()))


def test_a_model_that_is_frozen_whole_does_not_train() -> None:
    told = message(lambda: testing.assert_trains(Net().requires_grad_(False), (X, Y), nn.MSELoss()))
    assert told == "every parameter of `Net` is frozen"


def test_a_model_that_returns_its_loss_trains_without_a_loss_function() -> None:
    testing.assert_trains(calls(lambda own, x: {"loss": own.layer(x).square().mean()}), {"x": X})


def test_a_crash_is_raised_with_its_explanation() -> None:
    with pytest.raises(RuntimeError) as raised:
        testing.assert_trains(Net(), (torch.zeros(8, 5), Y), nn.MSELoss())
    assert any("TCK201" in note for note in raised.value.__notes__)


def test_parameters_without_gradient_are_named_by_why() -> None:
    testing.assert_all_parameters_receive_gradients(Net(), (X, Y), nn.MSELoss())
    assert message(
        lambda: testing.assert_all_parameters_receive_gradients(Net(uses_all=False), (X, Y), nn.MSELoss())
    ) == (
        "2 of the parameters of `Net` received no gradient\n"
        "  no gradient, and their module was not called: spare.weight, spare.bias"
    )
    assert "although their module was called: body.weight, body.bias" in message(
        lambda: testing.assert_all_parameters_receive_gradients(Cut(), (X, Y), nn.MSELoss())
    )
    testing.assert_all_parameters_receive_gradients(Cut(), (X, Y), nn.MSELoss(), except_for=["body"])


def test_an_initial_loss_is_that_of_chance() -> None:
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    testing.assert_initial_loss(model, (X, LABELS), nn.CrossEntropyLoss())
    nn.init.constant_(model.bias, 0.0)
    model.bias.data[0] = 10.0
    told = message(lambda: testing.assert_initial_loss(model, (X, LABELS), nn.CrossEntropyLoss()))
    assert "expected: 1.099 within 25%, which is ln(3)" in told
    testing.assert_initial_loss(Net(), (X, Y), lambda _out, _target: torch.tensor(2.0), expected=2.0)


def test_a_loss_of_no_known_beginning_needs_an_expectation() -> None:
    with pytest.raises(TypeError, match="expected: it is needed"):
        testing.assert_initial_loss(Net(), (X, Y), nn.MSELoss())


def test_gradients_accumulate_but_not_through_batch_statistics() -> None:
    testing.assert_accumulation_equivalent(nn.Sequential(Net(), nn.Dropout(0.5)), (X, Y), nn.MSELoss(), parts=4)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    told = message(lambda: testing.assert_accumulation_equivalent(model, (X, Y), nn.MSELoss()))
    assert "the gradients of 2 parts are not those of the batch" in told
    assert "`1` takes statistics of its batch" in told
    with pytest.raises(AssertionError):
        testing.assert_accumulation_equivalent(Net(), (X, Y), nn.MSELoss(reduction="sum"))


def test_a_model_that_mixes_samples_is_not_batch_independent() -> None:
    testing.assert_batch_independent(nn.Sequential(Net(), nn.BatchNorm1d(1)), X)
    told = message(
        lambda: testing.assert_batch_independent(calls(lambda own, x: own.layer(x) - own.layer(x).mean(0)), X)
    )
    assert told.startswith("the answer of `Calls` for sample 0 depends on the other samples\n  `output`")


def test_samples_that_are_alike_say_nothing_of_independence() -> None:
    with pytest.raises(ValueError, match="unlike each other"):
        testing.assert_batch_independent(Net(), torch.zeros(8, 4))


def attention(*, is_causal: bool) -> Calls:
    def attend(own: Any, x: Tensor) -> Tensor:
        x = own.layer(x)
        return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=is_causal)

    return calls(attend)


def test_attention_that_looks_ahead_is_not_causal() -> None:
    words = torch.randn(2, 6, 4)
    testing.assert_causal(attention(is_causal=True), words)
    told = message(lambda: testing.assert_causal(attention(is_causal=False), words))
    assert told.startswith("the answer of `Calls` up to position 0 depends on what comes after it")


def test_causality_is_asked_of_word_numbers_too() -> None:
    words = torch.arange(12).reshape(2, 6) % 5
    embedding = nn.Embedding(5, 4)
    testing.assert_causal(nn.Sequential(embedding, attention(is_causal=True)), words)
    with pytest.raises(AssertionError):
        testing.assert_causal(nn.Sequential(embedding, attention(is_causal=False)), words)


def test_an_input_that_does_not_count_is_named() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + 0 * y

    testing.assert_depends_on_input(Net(), X)
    told = message(lambda: testing.assert_depends_on_input(Two(), (X, X.clone())))
    assert told == "the answer of `Two` does not depend on its input `y`"


def test_a_part_that_is_not_deterministic_is_named() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x)

    testing.assert_deterministic(nn.Sequential(Net(), nn.Dropout()), X)
    told = message(lambda: testing.assert_deterministic(nn.Sequential(nn.Linear(4, 4), Noisy(), nn.Linear(4, 1)), X))
    assert told.startswith("`Sequential` answers twice in two ways")
    assert told.endswith("the first module whose answer differs: `1`")


def test_another_form_in_evaluation_is_told() -> None:
    testing.assert_eval_matches_train_shapes(Net(), X)
    model = calls(lambda own, x: own.layer(x) if own.training else own.layer(x).argmax(1))
    assert message(lambda: testing.assert_eval_matches_train_shapes(model, X)) == (
        "`Calls` answers in two forms\n  `output` is float32[8, 4] in training and int64[8] in evaluation"
    )


def test_a_batch_size_that_fails_is_named_and_explained() -> None:
    testing.assert_handles_batch_sizes(Net(), (X, Y), [1, 2, 7], loss_fn=nn.MSELoss())
    model = calls(lambda own, x: own.layer(x).view(8, 2, 2))
    told = message(lambda: testing.assert_handles_batch_sizes(model, X, [8, 3]))
    assert told.startswith("`Calls` fails with a batch of 3: shape '[8, 2, 2]' is invalid")
    assert "TCK" in told


def test_an_answer_of_another_size_than_the_batch_is_told() -> None:
    model = calls(lambda own, x: own.layer(x).squeeze()[:8])
    assert message(lambda: testing.assert_handles_batch_sizes(model, X, [1])) == (
        "`Calls` answers a batch of 1 with `output`, which is float32[4]"
    )


def test_a_model_that_makes_its_tensors_on_the_cpu_is_not_device_agnostic() -> None:
    testing.assert_device_agnostic(Net(), (X, Y), nn.MSELoss())
    told = message(lambda: testing.assert_device_agnostic(calls(lambda own, x: own.layer(x) + torch.ones(4)), X))
    assert told.startswith("`Calls` does not run on 'cuda': Expected all tensors to be on the same device")
    assert "TCK303" in told


def test_an_answer_that_is_left_on_the_cpu_is_told() -> None:
    told = message(lambda: testing.assert_device_agnostic(calls(lambda own, x: own.layer(x).cpu()), X))
    assert told == "`Calls` runs on 'cuda' and answers elsewhere\n  `output` is on cpu"


def test_a_round_trip_finds_what_the_state_lacks() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)
            self.shift = torch.randn(1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x) + self.shift
            return out

    testing.assert_checkpoint_round_trip(Net(), X, Net)
    testing.assert_checkpoint_round_trip(nn.BatchNorm1d(4))
    told = message(lambda: testing.assert_checkpoint_round_trip(Shifted(), X, Shifted))
    assert told.startswith("the answer of `Shifted` is another after it was loaded")


def test_a_state_that_can_not_be_loaded_is_told() -> None:
    told = message(lambda: testing.assert_checkpoint_round_trip(nn.Linear(4, 2), X, lambda: nn.Linear(4, 3)))
    assert told.startswith("the state can't be loaded into a new `Linear`")


def test_a_state_of_its_own_breaks_resuming() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            out: Tensor = self.layer(x) * self.calls
            return out

    make = lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9)  # noqa: E731 - read beside its use
    schedule = lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2)  # noqa: E731 - likewise
    model = nn.Sequential(Net(), nn.Dropout(0.1))
    testing.assert_resume_equivalent(model, [(X, Y), (-X, Y)], nn.MSELoss(), optimizer=make, scheduler=schedule)
    told = message(lambda: testing.assert_resume_equivalent(Counting(), (X, Y), nn.MSELoss(), steps=(2, 3)))
    assert told.startswith(
        "`Counting` ends elsewhere when its training is resumed after 2 of 5 steps\n  `layer.weight`"
    )


def test_findings_of_a_few_steps_fail() -> None:
    testing.assert_no_findings(Net(), (X, Y), nn.MSELoss())
    told = message(lambda: testing.assert_no_findings(Cut(), (X, Y), nn.MSELoss()))
    assert told.startswith("warning[TCK401]: 2 parameters got no gradient")
    codes = [
        line[line.index("[") + 1 : line.index("]")]
        for line in told.splitlines()
        if line.startswith(("error", "warning"))
    ]
    testing.assert_no_findings(Cut(), (X, Y), nn.MSELoss(), ignore=codes)


def test_a_graph_break_is_named_with_its_line() -> None:
    testing.assert_compiles(Net(), X)

    def broken(own: Any, x: Tensor) -> Tensor:
        out: Tensor = own.layer(x) if x.sum().item() > 0 else x
        return out

    told = message(lambda: testing.assert_compiles(calls(broken), X))
    assert told.startswith("`Calls` has 1 graph break\n")
    assert "test_model_assertions.py:" in told


@pytest.mark.parametrize("name", [name for name in testing.__all__ if name.startswith("assert_")])
def test_the_traceback_of_a_failure_ends_at_the_line_of_the_test(name: str) -> None:
    code = getattr(testing, name).__code__
    assert "__tracebackhide__" in code.co_varnames

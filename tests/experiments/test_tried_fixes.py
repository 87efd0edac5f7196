"""A fix is called tried only where a copy that failed in the same way before then passes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tests.experiments.crashing import outcome_of


class Digits(nn.Module):
    def __init__(self, features: int = 784) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(features, 10)

    def forward(self, images: Tensor) -> Tensor:
        images = self.drop(self.norm(self.conv(images)))
        images = images.flatten(1)
        logits: Tensor = self.head(images)
        return logits


IMAGES = torch.rand(32, 1, 14, 14)
LABELS = torch.randint(10, (32,))
WIDER = Fix("self.head = nn.Linear(3136, 10)", (ChangeSetting("in_features", 3136),))
WRONG = Fix("self.head(images.unsqueeze(0))", (ChangeOperand("input", "unsqueeze", (0,)),))


def test_the_first_fix_that_passes_becomes_the_help() -> None:
    model = Digits()
    outcome = outcome_of(lambda: model(IMAGES), WRONG, WIDER)
    assert (outcome.help, outcome.tried) == (WIDER.help, "the forward passes")


def test_the_loss_that_follows_is_tried_too() -> None:
    model = Digits()

    def step() -> None:
        logits = model(IMAGES)
        print("not run again")  # noqa: T201 - what a script does
        scores = logits.float()
        loss = functional.cross_entropy(scores, LABELS)
        loss.backward()

    assert outcome_of(step, WIDER).tried == "the forward and the loss pass"


def test_a_loss_in_the_same_statement_is_tried_too() -> None:
    model, loss_fn = Digits(), nn.CrossEntropyLoss(weight=torch.ones(10))
    outcome = outcome_of(lambda: loss_fn(model(IMAGES), LABELS) / 2, WIDER)
    assert outcome.tried == "the forward and the loss pass"


def test_a_fix_after_which_the_loss_fails_is_not_offered() -> None:
    model = Digits()
    flat = Fix("images.reshape(-1, 784)", (ChangeOperand("input", "reshape", (-1, 784)),))

    def step() -> None:
        logits = model(IMAGES)
        functional.cross_entropy(logits, LABELS)

    assert outcome_of(step, flat, WIDER).help == WIDER.help
    assert outcome_of(lambda: model(IMAGES), flat, WIDER).help == flat.help, "no loss is known to follow"


def test_a_loss_that_only_the_user_could_compute_is_not_claimed() -> None:
    model = Digits()

    def target_of(logits: Tensor) -> Tensor:
        return logits.argmax(1)

    def step() -> None:
        logits = model(IMAGES)
        functional.cross_entropy(logits, target_of(logits))

    assert outcome_of(step, WIDER).tried == "the forward passes"


def test_a_certain_help_stays_where_nothing_passes_and_nothing_refutes_it() -> None:
    outcome = outcome_of(lambda: Digits()(IMAGES), WRONG, certain="print(images.shape)")
    assert (outcome.help, outcome.tried) == ("print(images.shape)", "")


def test_a_help_after_which_the_same_exception_comes_again_is_dropped() -> None:
    assert not outcome_of(lambda: Digits()(IMAGES), WRONG, certain=WRONG.help).help


def test_a_cast_is_tried_with_real_samples() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    rows = torch.rand(64, 4, dtype=torch.float64)
    outcome = outcome_of(lambda: model(rows), Fix("rows.float()", (ChangeOperand("input", "to", ("torch.float32",)),)))
    assert outcome.tried == "the forward passes"


def test_the_samples_with_the_greatest_index_are_among_those_tried() -> None:
    model = nn.Sequential(nn.Embedding(10, 4))
    words = torch.zeros(900, 7, dtype=torch.int64)
    words[500, 3] = 12
    larger = Fix("nn.Embedding(13, 4)", (ChangeSetting("num_embeddings", 13),))
    assert outcome_of(lambda: model(words), larger).tried == "the forward passes"


def test_what_two_samples_do_not_show_is_tried_with_the_whole_batch_on_meta() -> None:
    class Fixed(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return torch.cat([rows, rows.new_zeros(63, 100)], 1)

    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    rows = Fix("rows[:63]", (ChangeOperand("rows", "narrow", (0, 0, 63)),))
    assert outcome_of(lambda: Fixed()(torch.rand(64, 100)), rows).tried == "the forward passes on the meta device"


def test_the_meta_device_is_not_asked_where_its_first_use_would_take_a_second(tmp_path: Path) -> None:
    script = tmp_path / "cold.py"
    script.write_text(
        "import sys, time, torch, tensorcheck\n"
        "class Slow(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = torch.nn.Linear(4, 2)\n"
        "    def forward(self, rows):\n"
        "        time.sleep(0.3)\n"
        "        return self.head(torch.relu(rows))\n"
        "try:\n"
        "    Slow()(torch.rand(64, 5))\n"
        "except RuntimeError as error:\n"
        "    print(tensorcheck.explain(error))\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert "the meta device was not asked" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


def test_a_copy_that_does_not_fail_claims_nothing() -> None:
    class Moody(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            return rows @ (rows if self.__dict__["calls"] == 1 else rows.T)

    transposed = Fix("rows.T", (ChangeOperand("rows", "t"),))
    outcome = outcome_of(lambda: Moody()(torch.rand(3, 4)), transposed)
    assert not outcome.tried
    assert outcome.skipped == ["no copy failed as the model did"]


def test_one_tensor_given_twice_is_changed_in_one_place() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, kdim=6, vdim=4)

        def forward(self, rows: Tensor) -> Any:
            return self.attention(rows, rows, rows)

    fix = Fix("keys", (ChangeOperand("key", "repeat", (1, 1, 2)), ChangeOperand("key", "narrow", (2, 0, 6))))
    assert outcome_of(lambda: Attends()(torch.rand(5, 2, 4)), fix).tried == "the forward passes"


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 8), nn.Linear(4, 8)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.cat([self.left(rows), self.right(rows).unsqueeze(1)], dim=-1)


def test_an_operand_that_is_a_call_itself_can_be_changed() -> None:
    squeezed = Fix("…", (ChangeOperand("self.right(rows).unsqueeze(1)", "squeeze", (1,)),))
    assert outcome_of(lambda: Pair()(torch.rand(3, 4)), squeezed).tried == "the forward passes"


def test_a_setting_of_an_operation_can_be_changed() -> None:
    class Splits(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows.view(3, -1, 3).sum(dim=1)

    fix = Fix("rows.view(3, -1, 2)", (ChangeSetting("2", 2),))
    assert outcome_of(lambda: Splits()(torch.rand(3, 4)), fix).tried == "the forward passes"


def test_only_the_call_in_the_failing_line_is_changed() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = nn.Linear(4, 1)

        def forward(self, rows: Tensor, others: Tensor) -> Tensor:
            first: Tensor = self.score(rows)
            second: Tensor = self.score(others)
            return first + second

    fix = Fix("others.T", (ChangeOperand("input", "t"),))
    assert outcome_of(lambda: Shared()(torch.rand(3, 4), torch.rand(4, 3)), fix).tried == "the forward passes"


CALLS: dict[str, tuple[Callable[[], object], Fix, str]] = {
    "a loss": (
        lambda: functional.cross_entropy(torch.rand(8, 3), torch.zeros(8, 1, dtype=torch.int64)),
        Fix("labels.squeeze(1)", (ChangeOperand("target", "squeeze", (1,)),)),
        "the loss passes",
    ),
    "a loss module": (
        lambda: nn.BCEWithLogitsLoss()(torch.rand(8, 1), torch.zeros(8)),
        Fix("target.unsqueeze(1)", (ChangeOperand("target", "unsqueeze", (1,)),)),
        "the loss passes",
    ),
    "an operator": (
        lambda: IMAGES @ LABELS,
        Fix("LABELS.float()", (ChangeOperand("LABELS", "new_zeros", ((14, 3),)), ChangeOperand("LABELS", "float"))),
        "the call passes",
    ),
    "a method": (
        lambda: IMAGES.view(3, 5),
        Fix("IMAGES.view(32, 196)", (ChangeSetting("0", 32), ChangeSetting("1", 196))),
        "the call passes",
    ),
    "a condition": (
        lambda: not IMAGES,
        Fix("IMAGES.any()", (ChangeOperand("IMAGES", "any"),)),
        "the call passes",
    ),
    "a layer": (
        lambda: nn.Linear(4, 2)(torch.rand(3, 5)),
        Fix("nn.Linear(5, 2)", (ChangeSetting("in_features", 5),)),
        "the call passes",
    ),
}


def test_an_assignment_to_a_part() -> None:
    space, total = torch.zeros(2, 3), torch.rand(4)

    def run() -> None:
        space[0] = total

    fix = Fix("total[:3]", (ChangeOperand("total", "narrow", (0, 0, 3)),))
    assert outcome_of(run, fix).tried == "the call passes"
    assert not space.any()


@pytest.mark.parametrize("name", CALLS)
def test_calls_outside_of_a_model(name: str) -> None:
    run, fix, words = CALLS[name]
    assert outcome_of(run, fix).tried == words


LAYERS: dict[str, tuple[nn.Module, Tensor, ChangeSetting]] = {
    "conv": (nn.Conv2d(3, 4, 3, bias=False), torch.rand(2, 1, 8, 8), ChangeSetting("in_channels", 1)),
    "batch norm": (nn.BatchNorm1d(3), torch.rand(4, 5), ChangeSetting("num_features", 5)),
    "layer norm": (nn.LayerNorm(3), torch.rand(4, 5), ChangeSetting("normalized_shape", (5,))),
    "embedding": (nn.Embedding(3, 2), torch.tensor([[5]]), ChangeSetting("num_embeddings", 6)),
    "rnn": (nn.RNN(3, 4, nonlinearity="relu"), torch.rand(5, 2, 6), ChangeSetting("input_size", 6)),
    "lstm": (nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), torch.rand(5, 2, 6), ChangeSetting("input_size", 6)),
    "gru": (nn.GRU(3, 4, bias=False, batch_first=True), torch.rand(5, 2, 6), ChangeSetting("input_size", 6)),
    "double": (nn.Linear(3, 4).double(), torch.rand(5, 2).double(), ChangeSetting("in_features", 2)),
    "on meta": (nn.Linear(3, 4, device="meta"), torch.rand(5, 2, device="meta"), ChangeSetting("in_features", 2)),
    "without weights": (nn.PixelShuffle(3), torch.rand(1, 4, 2, 2), ChangeSetting("upscale_factor", 2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_built_with_another_setting(name: str) -> None:
    layer, given, edit = LAYERS[name]
    assert outcome_of(lambda: layer(given), Fix("…", (edit,))).tried == "the call passes"


def test_attention_keeps_what_follows_from_its_width() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    rows = torch.rand(2, 5, 6)
    fix = Fix("…", (ChangeSetting("embed_dim", 6),))
    assert outcome_of(lambda: attention(rows, rows, rows), fix).tried == "the call passes"


def test_an_input_on_another_device_is_moved() -> None:
    model = nn.Sequential(nn.Linear(4, 2, device="meta"))
    fix = Fix('rows.to("meta")', (ChangeOperand("input", "to", ("meta",)),))
    assert outcome_of(lambda: model(torch.rand(3, 4)), fix).tried == "the forward passes"


def test_no_more_than_twelve_trials_are_made() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.head(rows)
            return logits

    wider, wrong = ChangeSetting("in_features", 5), ChangeSetting("in_features", 6)
    fixes = [Fix(f"number {number}", (wrong,)) for number in range(30)]
    assert outcome_of(lambda: Small()(torch.rand(3, 5)), *fixes[:10], Fix("right", (wider,))).help == "right"
    assert not outcome_of(lambda: Small()(torch.rand(3, 5)), *fixes[:11], Fix("right", (wider,))).help


def test_a_watched_crash_is_tried_and_covered() -> None:
    model = Digits()
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model) as watch:
        functional.cross_entropy(model(IMAGES), LABELS)

    assert "(tried: the forward and the loss pass)" in caught.value.__notes__[0]
    assert watch.findings[0].tried == "the forward and the loss pass"
    assert watch.report.record.coverage.experiments == ("fix-trials",)


def test_experiments_can_be_turned_off() -> None:
    model = Digits()
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model, experiments=False) as watch:
        model(IMAGES)

    assert [finding.tried for finding in watch.findings] == [""]
    assert watch.report.record.coverage.experiments == ()
    report = tensorcheck.explain(caught.value, experiments=False)
    assert [finding.tried for finding in report.findings] == [""]
    assert tensorcheck.explain(caught.value).record.coverage.experiments == ("fix-trials",)

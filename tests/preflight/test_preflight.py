"""`tensorcheck.preflight`: a step without values finds what the real one would raise, and touches nothing."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.experiment.memory import MemoryCount
from tensorcheck.preflights import Memory, Preflight
from tensorcheck.render.json import from_json, to_json
from tensorcheck.report import Report


class Digits(nn.Module):
    """A small classifier of images."""

    def __init__(self, features: int = 8 * 4 * 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(features, 10)

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, 1, 8, 8]` to `[batch, 10]`."""
        return self.head(self.drop(self.pool(torch.relu(self.norm(self.conv(images))))).flatten(1))  # type: ignore[no-any-return]


IMAGES = torch.zeros(16, 1, 8, 8)
LABELS = torch.arange(16) % 10


def learned(report: Report) -> Preflight:
    assert report.record.preflight is not None
    return report.record.preflight


def test_a_healthy_step_passes_whole() -> None:
    model = Digits()

    report = tensorcheck.preflight(
        model, (IMAGES, LABELS), nn.CrossEntropyLoss(), torch.optim.AdamW(model.parameters())
    )

    assert report.findings == ()
    assert learned(report).passed == ("forward", "loss", "backward", "optimizer step")
    assert [row.path for row in learned(report).shapes.rows] == ["conv", "norm", "pool", "drop", "head"]


@pytest.mark.parametrize(
    ("batch", "loss_fn", "features", "rule"),
    [
        ((IMAGES.double(), LABELS), functional.cross_entropy, 128, "TCK101"),
        ((IMAGES.byte(), LABELS), functional.cross_entropy, 128, "TCK101"),
        ((IMAGES, LABELS.int()), functional.cross_entropy, 128, "TCK102"),
        ((IMAGES, LABELS + 1), functional.cross_entropy, 128, "TCK209"),
        ((IMAGES, LABELS[:8]), functional.cross_entropy, 128, "TCK207"),
        ((IMAGES.expand(-1, 3, -1, -1), LABELS), functional.cross_entropy, 128, "TCK201"),
        ((IMAGES, LABELS), functional.cross_entropy, 256, "TCK201"),
        ((IMAGES, LABELS.float().unsqueeze(1)), functional.binary_cross_entropy_with_logits, 128, "TCK207"),
    ],
)
def test_a_step_that_would_crash_is_explained(
    batch: tuple[Tensor, Tensor], loss_fn: Callable[..., Tensor], features: int, rule: str
) -> None:
    model = Digits(features)
    report = tensorcheck.preflight(model, batch, loss_fn)

    assert [finding.rule for finding in report.findings] == [rule]
    with pytest.raises((RuntimeError, IndexError, ValueError)) as raised:
        loss_fn(model(batch[0]), batch[1])
    assert learned(report).failure == f"{raised.type.__name__}: {str(raised.value).splitlines()[0]}"


def test_a_loss_that_broadcasts_is_found_without_values() -> None:
    report = tensorcheck.preflight(nn.Linear(4, 1), (torch.zeros(8, 4), torch.zeros(8)), nn.MSELoss())

    assert [finding.rule for finding in report.findings] == ["TCK202"]


def test_nothing_of_the_users_is_touched() -> None:
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters())
    model(IMAGES).sum().backward()
    optimizer.step()
    state, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    gradients = [parameter.grad for parameter in model.parameters()]
    numbers = torch.get_rng_state()

    tensorcheck.preflight(model, (IMAGES, LABELS), nn.CrossEntropyLoss(), optimizer)

    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert str(optimizer.state_dict()) == str(moments)
    assert all(one is other.grad for one, other in zip(gradients, model.parameters(), strict=True))
    assert torch.equal(numbers, torch.get_rng_state())
    assert torch._C._len_torch_function_stack() == torch._C._len_torch_dispatch_stack() == 0


@pytest.mark.parametrize("build", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_memory_is_that_of_a_real_step(build: Callable[..., torch.optim.Optimizer]) -> None:
    model = nn.Sequential(Digits(), nn.ReLU(), nn.LayerNorm(10), nn.GELU(), nn.Linear(10, 10))
    report = tensorcheck.preflight(model, (IMAGES, LABELS), nn.CrossEntropyLoss(), build)

    optimizer = build(model.parameters())
    with MemoryCount() as count:
        functional.cross_entropy(model(IMAGES), LABELS).backward()
    optimizer.step()

    real = count.of(model, optimizer)
    ours = learned(report).memory
    assert (ours.weights, ours.gradients) == (real.weights, real.gradients)
    assert ours.optimizer_state == pytest.approx(real.optimizer_state, rel=0.05)
    assert ours.activations == pytest.approx(real.activations, rel=0.05)


class Gated(nn.Module):
    """Looks at a value half way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, 4]` to `[batch, 2]`."""
        scores: Tensor = self.layer(rows)
        return scores if scores.mean() > 0 else -scores


def test_what_depends_on_values_is_checked_as_far_as_that() -> None:
    report = tensorcheck.preflight(Gated(), (torch.zeros(3, 4), torch.zeros(3, 2)), nn.MSELoss())

    assert report.findings == ()
    assert learned(report).failure == ""
    assert "scores.mean() > 0" in learned(report).stop
    assert "it stopped at" in str(report)


def test_a_mistake_before_the_value_is_found() -> None:
    report = tensorcheck.preflight(Gated(), torch.zeros(3, 5))

    assert [finding.rule for finding in report.findings] == ["TCK201"]


class Speaker(nn.Module):
    """Takes a dictionary, moves things around and returns its own loss, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 20)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """`[batch, time]` word numbers to scores of the next word."""
        places = torch.arange(input_ids.shape[1]).to("cpu")
        scores = self.out(self.words(input_ids) + places.float().unsqueeze(-1).cpu())
        if labels is None:
            return {"scores": scores}
        return {"loss": functional.cross_entropy(scores.flatten(0, 1), labels.flatten()), "scores": scores}


def test_a_dictionary_and_the_loss_of_the_model_itself() -> None:
    words = torch.zeros(4, 6, dtype=torch.int64)

    report = tensorcheck.preflight(Speaker(), {"input_ids": words, "labels": words}, optimizer=torch.optim.SGD)

    assert learned(report).passed == ("forward", "backward", "optimizer step")
    assert report.findings == ()


def test_a_word_that_is_not_in_the_vocabulary() -> None:
    words = torch.full((4, 6), 25)

    report = tensorcheck.preflight(Speaker(), {"input_ids": words})

    assert learned(report).failure == "IndexError: index out of range in self"
    assert [finding.rule for finding in report.findings] == ["TCK208"]


class Centred(nn.Module):
    """Subtracts a mean, which is a buffer or not."""

    def __init__(self, *, is_buffer: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        if is_buffer:
            self.register_buffer("mean", torch.zeros(4))
        else:
            self.mean = torch.zeros(4)

    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, 4]` to `[batch, 2]`."""
        scores: Tensor = self.layer(rows - self.mean)
        return scores


class Placed(nn.Module):
    """Adds positions, made where the rows are or not."""

    def __init__(self, *, with_device: bool) -> None:
        super().__init__()
        self.with_device = with_device
        self.layer = nn.Linear(4, 4)

    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, 4]` to the same."""
        places = torch.arange(4, device=rows.device) if self.with_device else torch.arange(4)
        scores: Tensor = self.layer(rows) + places
        return scores


@pytest.mark.parametrize(
    ("model", "batch", "loss_fn"),
    [
        (Digits(), (IMAGES, LABELS), nn.CrossEntropyLoss()),
        (Centred(is_buffer=True), (torch.zeros(8, 4), torch.zeros(8, 2)), nn.MSELoss()),
        (Placed(with_device=True), (torch.zeros(8, 4), torch.zeros(8, 4)), nn.HuberLoss()),
        (nn.TransformerEncoderLayer(8, 2, 16), (torch.zeros(5, 3, 8), torch.zeros(5, 3, 8)), nn.L1Loss()),
    ],
    ids=["digits", "buffer", "places", "transformer"],
)
@pytest.mark.parametrize("kind", ["cuda", "cuda:1"])
def test_a_healthy_step_passes_on_a_device_that_is_not_there(
    model: nn.Module, batch: tuple[Tensor, Tensor], loss_fn: nn.Module, kind: str
) -> None:
    report = tensorcheck.preflight(model, batch, loss_fn, torch.optim.AdamW, device=kind)

    assert report.findings == ()
    assert learned(report).passed == ("forward", "loss", "backward", "optimizer step")
    given = learned(report).shapes.rows[0].inputs[0].meta.device
    assert given == ("cuda:0" if kind == "cuda" else kind)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "loss_fn", "rule", "named"),
    [
        (Centred(is_buffer=False), nn.MSELoss(), "TCK303", "self.mean"),
        (Placed(with_device=False), nn.MSELoss(), "TCK303", "places"),
        (nn.Linear(4, 4), nn.CrossEntropyLoss(weight=torch.ones(4)), "TCK302", "class weights"),
    ],
    ids=["attribute", "made in forward", "weights of a loss"],
)
def test_what_is_left_on_the_cpu_is_found_without_a_gpu(
    model: nn.Module, loss_fn: nn.Module, rule: str, named: str
) -> None:
    report = tensorcheck.preflight(
        model, (torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64)), loss_fn, device="cuda"
    )

    assert [finding.rule for finding in report.findings] == [rule]
    assert named in report.findings[0].headline
    assert "same device" in learned(report).failure


def test_on_the_cpu_itself_no_accelerator_is_needed() -> None:
    report = tensorcheck.preflight(Centred(is_buffer=False), torch.zeros(8, 4), device="cpu")

    assert report.findings == ()
    assert learned(report).passed == ("forward",)


def test_the_first_batch_of_a_loader_is_taken() -> None:
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)

    report = tensorcheck.preflight(Digits(), loader, nn.CrossEntropyLoss())

    assert learned(report).shapes.rows[0].inputs[0].meta.shape == (4, 1, 8, 8)


def test_a_model_that_wants_other_inputs_is_shown_with_what_came() -> None:
    with pytest.raises(ValueError, match=r"Speaker.forward\(input_ids.*can't take \(pixels=float32\[3\] cpu\)"):
        tensorcheck.preflight(Speaker(), ({"pixels": torch.zeros(3)}, LABELS), nn.MSELoss())


def test_a_model_that_can_not_be_copied_is_not_called_healthy() -> None:
    model = Digits()
    with Path(__file__).open() as file:
        model.file = file  # type: ignore[assignment]
        report = tensorcheck.preflight(model, IMAGES)

    assert "can't be copied" in learned(report).stop
    assert "can't be copied" in str(report)


def test_a_model_of_any_size_takes_no_memory() -> None:
    with torch.device("meta"):
        model = nn.Sequential(*[nn.Linear(60_000, 60_000) for _ in range(20)])

    report = tensorcheck.preflight(model, torch.zeros(2, 60_000, device="meta"), optimizer=torch.optim.Adam)

    assert learned(report).memory.weights == 20 * (60_000 + 1) * 60_000 * 4
    assert learned(report).passed == ("forward",)


def test_the_report_says_it_in_each_form() -> None:
    report = tensorcheck.preflight(Digits(), (IMAGES, LABELS), nn.CrossEntropyLoss(), torch.optim.AdamW)

    for form in ("text", "md", "html"):
        shown = report.render(form)
        assert "MaxPool2d" in shown
        assert f"{learned(report).memory.weights:,}" in shown


def test_the_report_is_read_back() -> None:
    report = tensorcheck.preflight(Digits(), (IMAGES, LABELS), nn.CrossEntropyLoss(), torch.optim.AdamW)

    read = from_json(to_json(report.record)).preflight
    assert read is not None
    assert str(read.shapes) == str(learned(report).shapes)
    assert replace(read, shapes=learned(report).shapes) == learned(report)


def test_memory_adds_up() -> None:
    assert Memory(1, 2, 3, 4).together == 10

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tensorcheck.training import (
    Callback,
    EarlyStopping,
    TrainingError,
    classification_metrics,
    fit,
)
from tensorcheck.training.callbacks import StepReport
from tensorcheck.training.choices import Precision
from tensorcheck.training.history import EpochRecord, History
from tensorcheck.training.parts import Parts
from tests.training.setups import Setup

NewSetup = Callable[..., Setup]


def points(samples: int = 20) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, 3, generator=generator)
    return TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))


def train_linear(batch_size: int, *, samples: int = 20, lr: float = 0.1, **options: Any) -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    loader = DataLoader(points(samples), batch_size=batch_size)
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    defaults: dict[str, Any] = {"loss_fn": nn.functional.mse_loss, "epochs": 1, "device": "cpu"}
    fit(model, loader, loader, optimizer=sgd, **{**defaults, **options})
    return model


def test_training_lowers_the_loss(setup: Setup) -> None:
    result = setup.fit(epochs=10)
    assert result.history.epochs[-1].val_loss < 0.7 * result.history.epochs[0].val_loss


@pytest.mark.parametrize("samples", [20, 18, 13])
def test_accumulated_batches_make_the_step_of_one_large_batch(samples: int) -> None:
    together = train_linear(8, samples=samples)
    accumulated = train_linear(2, samples=samples, grad_accumulation=4)
    torch.testing.assert_close(accumulated.weight, together.weight)


@pytest.mark.parametrize("grad_accumulation", [1, 2])
def test_the_training_loss_is_the_mean_over_samples_not_over_batches(grad_accumulation: int) -> None:
    model = nn.Linear(3, 1)
    before = float(nn.functional.mse_loss(model(points()[:][0]), points()[:][1]).detach())
    loader = DataLoader(points(), batch_size=6)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    options: dict[str, Any] = {"epochs": 1, "device": "cpu", "grad_accumulation": grad_accumulation}
    result = fit(model, loader, loader, loss_fn=nn.functional.mse_loss, optimizer=frozen, **options)
    assert result.best.train_loss == pytest.approx(before)
    assert result.best.val_loss == pytest.approx(before)


def distance(one: nn.Linear, other: nn.Linear) -> float:
    vectors = [nn.utils.parameters_to_vector(model.parameters()).detach() for model in (one, other)]
    return float((vectors[0] - vectors[1]).norm())


def test_gradients_are_clipped_before_the_step() -> None:
    before = train_linear(20, lr=0.0)
    after = train_linear(20, lr=1.0, clip_grad_norm=0.01)
    assert distance(before, after) == pytest.approx(0.01, rel=1e-3)


def small(outputs: Tensor, targets: Tensor) -> Tensor:
    """Small enough that the scaler's first factor, 65536, makes no gradient overflow."""
    return 0.05 * nn.functional.mse_loss(outputs.float(), targets)


def test_fp16_clips_the_true_gradients_and_not_the_scaled_ones() -> None:
    before = train_linear(20, lr=0.0)
    after = train_linear(20, lr=1.0, clip_grad_norm=0.01, precision="fp16", loss_fn=small)
    assert distance(before, after) == pytest.approx(0.01, rel=1e-2)


@pytest.mark.parametrize(
    ("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_the_precision_is_that_of_the_forward_pass(precision: Precision, expected: torch.dtype) -> None:
    seen: set[torch.dtype] = set()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.add(outputs.dtype)
        return nn.functional.mse_loss(outputs.float(), targets)

    model = train_linear(20, loss_fn=loss, precision=precision)
    assert seen == {expected}
    assert model.weight.dtype == torch.float32


def test_a_step_that_the_scaler_skips_moves_neither_weights_nor_schedule(setup: Setup) -> None:
    scheduler = torch.optim.lr_scheduler.OneCycleLR(setup.optimizer, 0.1, total_steps=100)

    def overflow(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs.float(), targets) * 1e30

    before = copy.deepcopy(setup.model.state_dict())
    setup.fit(loss_fn=overflow, scheduler=scheduler, precision="fp16", epochs=1)
    assert scheduler.last_epoch == 0
    assert all(torch.equal(before[name], value) for name, value in setup.model.state_dict().items())


class Modes(Callback):
    def __init__(self, model: nn.Module) -> None:
        self.seen: list[tuple[bool, bool]] = []
        model.register_forward_hook(lambda module, *_: self.seen.append((module.training, torch.is_grad_enabled())))


def test_the_model_trains_in_training_mode_and_is_evaluated_in_evaluation_mode(setup: Setup) -> None:
    modes = Modes(setup.model)
    setup.fit(epochs=2)
    epoch = [(True, True)] * len(setup.train_loader) + [(False, False)] * len(setup.val_loader)
    assert modes.seen == epoch * 2


def test_a_model_that_comes_in_evaluation_mode_is_trained_in_training_mode(setup: Setup) -> None:
    setup.model.eval()
    modes = Modes(setup.model)
    setup.fit(epochs=1)
    assert modes.seen[0] == (True, True)


def test_the_metrics_of_an_epoch_are_those_of_its_own_validation(setup: Setup) -> None:
    result = setup.fit(epochs=3, metrics=classification_metrics(4))
    with torch.inference_mode():
        setup.model.eval()
        batches = list(DataLoader(setup.val_loader.dataset, batch_size=20))
        hits = (setup.model(batches[0][0]).argmax(dim=1) == batches[0][1]).float().mean()
    assert result.best.metrics["accuracy"] == pytest.approx(float(hits), abs=0.06)
    assert "confusion_matrix" not in result.best.metrics


def test_the_model_ends_with_the_weights_of_the_best_epoch(setup: Setup, tmp_path: Path) -> None:
    growing = torch.optim.lr_scheduler.ExponentialLR(setup.optimizer, gamma=30.0)
    result = setup.fit(epochs=4, scheduler=growing, checkpoint_dir=tmp_path)
    best = torch.load(tmp_path / "best_model.pth", weights_only=True)
    last = torch.load(tmp_path / "last.pth", weights_only=True)["model"]
    assert result.history.best_epoch < 4
    assert all(torch.equal(best[name], value) for name, value in setup.model.state_dict().items())
    assert not torch.equal(best["0.weight"], last["0.weight"])


def test_early_stopping_ends_a_training_that_no_longer_gains(setup: Setup) -> None:
    for group in setup.optimizer.param_groups:
        group["lr"] = 0.0
    result = setup.fit(epochs=50, early_stopping=EarlyStopping(patience=3, min_delta=1.0))
    assert result.stopped_early
    assert len(result.history.epochs) == 4


def test_a_number_is_the_patience_of_early_stopping(setup: Setup) -> None:
    growing = torch.optim.lr_scheduler.ExponentialLR(setup.optimizer, gamma=30.0)
    result = setup.fit(epochs=50, scheduler=growing, early_stopping=2)
    assert len(result.history.epochs) == result.history.best_epoch + 2


def test_two_trainings_with_one_seed_are_equal_to_the_last_bit(new_setup: NewSetup) -> None:
    first, second = new_setup(), new_setup()
    first.fit(seed=5)
    torch.rand(17)
    second.fit(seed=5)
    assert torch.equal(first.weight, second.weight)


def test_another_seed_makes_another_training(new_setup: NewSetup) -> None:
    first, second = new_setup(), new_setup()
    first.fit(seed=5)
    second.fit(seed=6)
    assert not torch.equal(first.weight, second.weight)


class Recorder(Callback):
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.losses: list[float] = []

    def training_started(self, parts: Parts, history: History) -> None:
        self.heard.append(f"start {parts.epochs} {len(history.epochs)}")

    def step_taken(self, report: StepReport) -> None:
        self.losses.append(float(report.loss_sum) / report.samples)

    def epoch_finished(self, record: EpochRecord, history: History) -> None:
        self.heard.append(f"epoch {record.epoch} of {len(history.epochs)}")

    def training_finished(self, history: History) -> None:
        self.heard.append(f"end {len(history.epochs)}")


def test_callbacks_hear_of_each_step_and_epoch(setup: Setup) -> None:
    recorder = Recorder()
    result = setup.fit(epochs=2, callbacks=[recorder])
    assert recorder.heard == ["start 2 0", "epoch 1 of 1", "epoch 2 of 2", "end 2"]
    assert len(recorder.losses) == 2 * len(setup.train_loader)
    assert recorder.losses[-1] == pytest.approx(result.history.epochs[-1].train_loss)


def test_a_distributed_sampler_is_told_the_epoch() -> None:
    sampler: torch.utils.data.DistributedSampler[int] = torch.utils.data.DistributedSampler(
        points(), num_replicas=1, rank=0
    )
    loader = DataLoader(points(), sampler=sampler, batch_size=5)
    model = nn.Linear(3, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, loader, loader, loss_fn=nn.functional.mse_loss, optimizer=sgd, epochs=3, device="cpu")
    assert sampler.epoch == 3


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((torch.ones(3), torch.ones(1)) for _ in range(self.samples))


def fit_stream(samples: int) -> None:
    model, loader = nn.Linear(3, 1), DataLoader(Stream(samples), batch_size=2)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, loader, loader, loss_fn=nn.functional.mse_loss, optimizer=sgd, epochs=1, device="cpu")


def test_a_loader_that_does_not_know_its_length_will_do() -> None:
    fit_stream(5)


def test_a_stream_that_turns_out_empty_is_refused() -> None:
    with pytest.raises(TrainingError, match="train_loader was empty in epoch 1"):
        fit_stream(0)


BAD_INPUT: dict[str, dict[str, Any]] = {
    "epochs is 0; at least 1": {"epochs": 0},
    "grad_accumulation is -1; at least 1": {"grad_accumulation": -1},
    "clip_grad_norm is 0; a norm above 0": {"clip_grad_norm": 0},
    "patience of 0; at least 1": {"early_stopping": 0},
    "precision is one of fp32, bf16, fp16, not 'fp8'": {"precision": "fp8"},
    "device 'warp' is not to be had here": {"device": "warp"},
    "device 'cuda:77' is not to be had here": {"device": "cuda:77"},
    "loss_fn returned a float": {"loss_fn": lambda *_: 0.5},
    r"loss_fn returned \[8\] values": {"loss_fn": nn.CrossEntropyLoss(reduction="none")},
}


@pytest.mark.parametrize("message", BAD_INPUT)
def test_bad_input_is_one_clear_error_and_writes_nothing(setup: Setup, tmp_path: Path, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        setup.fit(checkpoint_dir=tmp_path / "run", **BAD_INPUT[message])
    assert not any(tmp_path.iterdir())


def test_a_model_without_parameters_is_refused(setup: Setup) -> None:
    with pytest.raises(TrainingError, match="the model Identity has no parameters"):
        fit(nn.Identity(), *setup[1:3], loss_fn=nn.functional.mse_loss, optimizer=setup.optimizer, epochs=1)


@pytest.mark.parametrize("which", ["train_loader", "val_loader"])
def test_an_empty_loader_is_refused_by_its_name(setup: Setup, which: str) -> None:
    empty = DataLoader(TensorDataset(torch.ones(3, 4), torch.ones(3)), batch_size=8, drop_last=True)
    with pytest.raises(TrainingError, match=f"{which} is empty"):
        Setup(**{**setup._asdict(), which: empty}).fit()


def test_batches_that_are_no_pairs_are_refused(setup: Setup) -> None:
    loader: DataLoader[Any] = DataLoader(Stream(3), collate_fn=lambda samples: {"image": samples[0][0]})
    with pytest.raises(TrainingError, match="the loader handed out a dict; a pair of tensors"):
        setup._replace(train_loader=loader).fit()


def test_a_loss_that_is_no_longer_finite_ends_the_training_with_its_epoch(setup: Setup, tmp_path: Path) -> None:
    growing = torch.optim.lr_scheduler.ExponentialLR(setup.optimizer, gamma=1e30)
    with warnings.catch_warnings(), pytest.raises(TrainingError, match=r"loss became (nan|inf) in epoch \d"):
        setup.fit(epochs=9, scheduler=growing, checkpoint_dir=tmp_path)
    weights = torch.load(tmp_path / "last.pth", weights_only=True)["model"]
    assert all(bool(value.isfinite().all()) for value in weights.values())


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine with no accelerator")
def test_auto_is_the_cpu_where_there_is_no_accelerator(setup: Setup) -> None:
    assert setup.fit(device="auto").device == torch.device("cpu")

"""Fields that change from batch to batch: what was mixed up, and what varies as it should."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding


class Made(Dataset[Any]):
    """A dataset whose samples a function makes."""

    def __init__(self, make: Callable[[int], object]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> object:
        return self.make(index)


def found(loader: DataLoader[Any], passes: int = 1) -> Sequence[Finding]:
    with tensorcheck.watch(nn.Linear(1, 1), on_finding=list[Finding]().append) as watch:
        for _ in range(passes):
            for _ in loader:
                pass
    return [finding for finding in watch.findings if finding.rule == "TCK713"]


def loaded(make: Callable[[int], object]) -> Sequence[Finding]:
    return found(DataLoader(Made(make), batch_size=4))


class Ratings(Dataset[Any]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        rating = index % 5 if index % 6 else index / 2
        return torch.rand(4), rating


def test_numbers_that_are_whole_in_some_batches_alone_change_their_dtype() -> None:
    (finding,) = found(DataLoader(Ratings(), batch_size=4), passes=2)
    assert finding.site is not None
    assert finding.site.code == "index % 5 if index % 6 else index / 2"
    assert finding.headline.startswith("`batch[1]` of `Ratings` is float64 and ")


def together(samples: list[Tensor]) -> Tensor:
    rows = torch.stack(samples)
    return rows if rows[0, 0] < 16 else rows.flatten()


def test_a_collate_function_that_flattens_some_batches_changes_their_rank() -> None:
    rows = torch.arange(64.0).reshape(32, 2)
    (finding,) = found(DataLoader(rows, batch_size=4, collate_fn=together))  # type: ignore[arg-type]  # a tensor will do
    assert "is rank 2 and rank 1 in batch 2" in finding.headline
    assert finding.site is not None
    assert "rows.flatten()" in finding.site.code


def test_samples_in_two_ranges_are_found_in_a_tensor_too() -> None:
    images = torch.rand(32, 16)
    scaled = torch.cat([images[:20], 255 * images[20:]])
    (finding,) = found(DataLoader(TensorDataset(scaled), batch_size=8))
    assert finding.site is not None
    assert finding.site.code == "torch.cat([images[:20], 255 * images[20:]])"


def test_a_step_that_crashes_because_of_it_is_explained_alone() -> None:
    model = nn.Linear(4, 1)
    make = lambda index: torch.rand(4, dtype=torch.float64 if index > 15 else torch.float32)  # noqa: E731 - short
    watch = tensorcheck.watch(model, on_finding=list[Finding]().append)
    with pytest.raises(RuntimeError):
        for rows in DataLoader(Made(make), batch_size=4):
            model(rows)
    watch.close()
    assert "TCK713" not in [finding.rule for finding in watch.findings]


def sentinel(index: int) -> Tensor:
    row = torch.rand(8)
    row[0] = 9999.0 if index % 5 == 0 else row[0]
    return row


@pytest.mark.parametrize(
    "make",
    [
        lambda index: torch.rand(3, 4, 4),
        lambda index: 255 * torch.rand(3, 4, 4),
        lambda index: torch.zeros(3, 4, 4) if index % 3 else torch.rand(3, 4, 4) * 255,
        lambda index: torch.rand(3, 4, 4) * 2.0 ** (index % 10),
        lambda index: torch.distributions.LogNormal(0.0, 2.0).sample((16,)),
        lambda index: torch.randint(0, 2 if index % 2 else 200, (16,)).float(),
        lambda index: torch.randint(0, 2 if index % 2 else 200, (16,)),
        lambda index: torch.rand(2) * (255 if index % 2 else 1),
        sentinel,
        lambda index: {"x": torch.rand(8), "label": index % 3},
        lambda index: [torch.rand(8), torch.rand(8) * 200],
        lambda index: {"x": torch.rand(8)} if index < 16 else {"x": torch.rand(8).double(), "y": 1},
        lambda index: (torch.rand(8) * 2 - 1) * 5,
    ],
)
def test_batches_that_vary_as_they_should_are_silent(make: Callable[[int], object]) -> None:
    assert not loaded(make)


def test_tasks_in_turn_are_silent() -> None:
    tasks = BatchSampler(SequentialSampler(range(32)), 4, drop_last=False)

    class ByTask(BatchSampler):
        pass

    sampler = ByTask(SequentialSampler(range(32)), 4, drop_last=False)
    make = lambda index: torch.tensor(index) if index < 16 else torch.tensor(float(index))  # noqa: E731 - short
    assert not found(DataLoader(Made(make), batch_sampler=sampler))
    assert found(DataLoader(Made(make), batch_sampler=tasks))


def squeezed(samples: list[Tensor]) -> tuple[Tensor, Tensor]:
    rows = torch.stack(samples)
    return rows, rows.squeeze()


def test_a_batch_of_one_that_was_squeezed_is_left_to_other_rules() -> None:
    assert not found(DataLoader(Made(lambda _: torch.rand(1)), batch_size=31, collate_fn=squeezed))


def test_sequences_of_other_lengths_are_silent() -> None:
    def padded(samples: list[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(samples, batch_first=True)

    assert not found(DataLoader(Made(lambda index: torch.rand(index % 7 + 1, 3)), batch_size=4, collate_fn=padded))

"""Samples are asked for once more so that nothing of the program notices, and what ran for them is told."""

import random
import sys
import time
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset

import tensorcheck
from tensorcheck.observe.asking import ask, located
from tensorcheck.observe.replaying import executed_lines
from tensorcheck.observe.undisturbed import RandomState, WorkerSeat
from tensorcheck.tensors import TensorMeta


class Noisy(Dataset[torch.Tensor]):
    """Draws from each generator, prints and warns."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        print("loading", index)  # noqa: T201 - what must not be seen
        warnings.warn("slow", stacklevel=2)
        width = random.randint(1, 5) + int(np.random.randint(1, 5))  # noqa: NPY002, S311 - as users draw
        return torch.rand(width)


class Slow(Dataset[int]):
    def __getitem__(self, index: int) -> int:
        for _ in range(1000):
            time.sleep(0.01)
        return index


class Growing(Dataset[torch.Tensor]):
    asked = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        Growing.asked += 1
        rows = 3 + index
        return torch.zeros(rows)


def state() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002 - likewise


def test_random_numbers_output_and_warnings_are_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    before = state()

    asked = ask(Noisy(), [0, 1, 2])

    assert state() == before
    assert len(asked.samples) == 3
    assert capsys.readouterr() == ("", "")


def test_a_tracer_that_was_there_is_there_again() -> None:
    def trace(frame: FrameType, event: str, argument: Any) -> None:
        """A debugger's."""

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        ask(Noisy(), [0])
        after = sys.gettrace()
    finally:
        sys.settrace(before)

    assert after is trace


def test_slow_samples_are_given_up() -> None:
    start = time.monotonic()

    asked = ask(Slow(), [0, 1])

    assert time.monotonic() - start < 2
    assert asked.samples == []


def test_a_worker_is_asked_with_its_own_random_numbers() -> None:
    loader = DataLoader(Noisy(), batch_size=None, num_workers=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iterator: Any = iter(loader)
        first = next(iterator)

    asked = ask(Noisy(), [0], WorkerSeat(0, 1, iterator._base_seed))

    assert asked.samples[0].value is not None
    assert asked.samples[0].value.meta == TensorMeta(tuple(first.shape), "float32", "cpu")
    del iterator


def test_a_failing_sample_ends_the_asking_and_tells_its_line() -> None:
    asked = ask([1, 2], [1, 5, 0])

    assert [sample.failure is None for sample in asked.samples] == [True, False]
    assert asked.samples[1].failure is not None
    assert asked.samples[1].failure.error == "IndexError"


def test_subsets_and_joins_are_looked_through() -> None:
    first, second = Growing(), Noisy()
    joined: Subset[torch.Tensor] = Subset(ConcatDataset([first, second]), [5, 0])

    assert located(joined, 0) == (second, 1)
    assert located(joined, 1) == (first, 0)


def test_executed_lines_are_those_that_ran() -> None:
    class Sides(Dataset[str]):
        def __getitem__(self, index: int) -> str:
            if index > 1:
                return "right"
            return "left"

    first = Sides.__getitem__.__code__.co_firstlineno
    left, right = executed_lines(Sides(), 0), executed_lines(Sides(), 2)

    assert {line - first for _, line in left.lines} == {1, 3}
    assert {line - first for _, line in right.lines} == {1, 2}
    assert right.value is not None
    assert right.value.plain == "right"


class Padded(Dataset[torch.Tensor]):
    def __getitem__(self, index: int) -> torch.Tensor:
        return self.padded(torch.zeros(4 + index))

    def __len__(self) -> int:
        return 4

    def padded(self, row: torch.Tensor) -> torch.Tensor:
        if len(row) >= 5:
            return row[:5]
        return torch.cat([row, torch.zeros(2)])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_branch_that_made_a_sample_is_named_and_no_other(workers: int) -> None:
    (finding,) = tensorcheck.explain(crash_of(DataLoader(Padded(), batch_size=4, num_workers=workers))).findings

    assert [related.site.code for related in finding.related if "from here on" in related.note] == [
        "torch.cat([row, torch.zeros(2)])"
    ]


def test_a_sample_that_raises_has_no_value() -> None:
    class Ratios(Dataset[float]):
        def __getitem__(self, index: int) -> float:
            return 1 / index

    assert executed_lines(Ratios(), 0).value is None


def test_executed_lines_leave_random_numbers_alone() -> None:
    before = state()

    executed_lines(Noisy(), 0, RandomState.now())

    assert state() == before


def crash_of(loader: DataLoader[Any]) -> Exception:
    try:
        list(loader)
    except Exception as error:  # noqa: BLE001 - whatever it raises is explained
        return error
    raise AssertionError


def test_samples_are_asked_once_however_often_a_crash_is_explained() -> None:
    Growing.asked = 0
    error = crash_of(DataLoader(Growing(), batch_size=2, num_workers=1))

    first = tensorcheck.explain(error).findings
    asked = Growing.asked
    again = tensorcheck.explain(error).findings

    assert asked > 0
    assert Growing.asked == asked
    assert [finding.headline for finding in again] == [finding.headline for finding in first]


def test_a_stream_is_never_asked() -> None:
    class Stream(IterableDataset[torch.Tensor]):
        started = 0

        def __iter__(self) -> Iterator[torch.Tensor]:
            Stream.started += 1
            yield from (torch.zeros(3), torch.zeros(4))

    error = crash_of(DataLoader(Stream(), batch_size=2, num_workers=1))
    findings = tensorcheck.explain(error).findings

    assert [finding.rule for finding in findings] == ["TCK701"]
    assert Stream.started == 0


def test_a_shuffled_batch_of_a_worker_is_told_by_its_indices() -> None:
    class Odd(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.zeros(4 if index == 33 else 3)

    loader = DataLoader(Odd(), batch_size=4, shuffle=True, num_workers=1)
    with tensorcheck.watch(loader, on_finding=lambda _: None) as watch:
        crash_of(loader)

    assert [finding.headline for finding in watch.findings if "sample 33" in finding.headline.lower()]

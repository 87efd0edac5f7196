"""Workers, the order of labels, and what is counted over whole passes: the mistakes and their healthy neighbours."""

import itertools
import linecache
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

import tensorcheck
from tensorcheck.findings import Finding

Seed = Callable[[int], None]


def gone_through(loader: DataLoader[Tensor], passes: int = 1) -> Sequence[Finding]:
    with tensorcheck.watch(nn.Linear(1, 1), on_finding=list[Finding]().append) as watch:
        for _ in range(passes):
            for _ in loader:
                pass
    return watch.findings


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return (torch.tensor([float(number)]) for number in range(32))


class Divided(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        info = get_worker_info()
        numbers = itertools.islice(range(64), info.id, None, info.num_workers)  # type: ignore[union-attr]
        return (torch.tensor([float(number)]) for number in numbers)


class Drawn(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return (torch.rand(1) for _ in range(32))


class OneBatch(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        batch = torch.arange(16.0)[:, None]
        return itertools.chain.from_iterable(batch for _ in range(3))


class Noisy(Dataset[Tensor]):
    def __init__(self, rng: object = None) -> None:
        self.rng = rng if rng is not None else np.random.RandomState(0)

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([index + self.rng.random()])  # type: ignore[attr-defined]


class Reseeded(Noisy):
    def __getitem__(self, index: int) -> Tensor:
        self.rng.seed(index)  # type: ignore[attr-defined]
        return torch.tensor([index + self.rng.random()])  # type: ignore[attr-defined]


class Global(Noisy):
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([index + np.random.rand() + random.random()])  # noqa: NPY002, S311 - what PyTorch seeds


class Unused(Noisy):
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([float(index)])


def test_a_stream_that_every_worker_gives_whole_is_found() -> None:
    (finding,) = gone_through(DataLoader(Stream(), batch_size=8, num_workers=2))
    assert (finding.rule, finding.headline) == ("TCK512", "`Stream` gives the same samples in all 2 workers")


@pytest.mark.parametrize("dataset", [Divided(), Drawn(), OneBatch()])
def test_streams_that_differ_or_are_one_batch_on_purpose_are_silent(dataset: Dataset[Tensor]) -> None:
    assert not gone_through(DataLoader(dataset, batch_size=16, num_workers=2))


def test_a_stream_with_one_worker_is_silent() -> None:
    assert not gone_through(DataLoader(Stream(), batch_size=8, num_workers=1))


@pytest.mark.parametrize("rng", [None, random.Random(0)])  # noqa: S311 - no secret
def test_a_generator_that_the_dataset_holds_is_found(rng: object) -> None:
    (finding,) = gone_through(DataLoader(Noisy(rng), batch_size=8, num_workers=2))
    assert finding.site is not None
    assert (finding.rule, finding.site.code) == ("TCK512", "self.rng")


@pytest.mark.parametrize("dataset", [Reseeded(), Global(), Unused()])
def test_datasets_whose_workers_draw_other_numbers_are_silent(dataset: Dataset[Tensor]) -> None:
    assert not gone_through(DataLoader(dataset, batch_size=8, num_workers=2))


def test_a_held_generator_without_workers_is_silent() -> None:
    assert not gone_through(DataLoader(Noisy(), batch_size=8))


SEED = 7


def seed_with_a_constant(worker: int) -> None:
    np.random.seed(SEED)  # noqa: NPY002 - the mistake


def seed_with_the_worker(worker: int) -> None:
    np.random.seed(SEED + worker)  # noqa: NPY002 - as people do


def seed_as_the_manual_says(worker: int) -> None:
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)  # noqa: NPY002 - likewise
    random.seed(seed)


def test_a_constant_seed_for_all_workers_is_found() -> None:
    (finding,) = gone_through(DataLoader(Global(), num_workers=2, worker_init_fn=seed_with_a_constant))
    assert (finding.rule, finding.headline) == ("TCK512", "`np.random.seed(SEED)` seeds all 2 workers alike")


@pytest.mark.parametrize("seed", [seed_with_the_worker, seed_as_the_manual_says])
def test_seeds_that_differ_are_silent(seed: Seed) -> None:
    assert not gone_through(DataLoader(Global(), num_workers=2, worker_init_fn=seed))


def trained(labels: Tensor, *, shuffle: bool = False, is_trained: bool = True) -> Sequence[Finding]:
    """What is found in a pass over samples with these labels, in batches of eight."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    samples = TensorDataset(torch.rand(len(labels), 4), labels)
    loader = DataLoader(samples, batch_size=8)
    if shuffle:
        loader = DataLoader(samples, batch_size=8, shuffle=True)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, wanted in loader:
            if is_trained:
                optimizer.zero_grad()
                (model(rows).square().mean() + 0 * wanted.sum()).backward()
                optimizer.step()
    return watch.findings


SORTED = torch.arange(4).repeat_interleave(16)


@pytest.mark.parametrize("labels", [SORTED, SORTED.flip(0), SORTED.float(), SORTED[:32], SORTED[:, None]])
def test_labels_that_come_class_by_class_are_found(labels: Tensor) -> None:
    (finding,) = trained(labels)
    assert finding.rule == "TCK513"
    assert finding.help.endswith("shuffle=True)")


@pytest.mark.parametrize(
    "labels",
    [
        SORTED[:32].repeat(2),
        torch.arange(64) % 4,
        SORTED[torch.randperm(64, generator=torch.Generator().manual_seed(0))],
        torch.arange(64),
        torch.zeros(64),
        torch.linspace(0, 1, 64),
        SORTED + 0.5,
        SORTED * torch.nan,
    ],
)
def test_other_orders_are_silent(labels: Tensor) -> None:
    assert "TCK513" not in [finding.rule for finding in trained(labels)]


def test_sorted_labels_that_are_shuffled_or_evaluated_are_silent() -> None:
    torch.manual_seed(0)
    assert not trained(SORTED, shuffle=True)
    assert not trained(SORTED, is_trained=False)


def measured(metric: torchmetrics.Metric, *, reset: bool, within: bool = False) -> list[str]:
    loader = DataLoader(TensorDataset(torch.rand(16, 4), torch.arange(16) % 2), batch_size=4)
    with tensorcheck.watch(nn.Linear(4, 2), on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            for rows, wanted in loader:
                metric.update(rows.argmax(1) % 2, wanted)
                if within:
                    metric.compute()
            if not within:
                metric.compute()
            if reset:
                metric.reset()
    return [finding.rule for finding in watch.findings]


def accuracy() -> torchmetrics.Metric:
    return torchmetrics.classification.BinaryAccuracy()


def test_a_metric_that_is_never_reset_is_found() -> None:
    assert measured(accuracy(), reset=False) == ["TCK514"]


def test_a_metric_that_is_reset_is_silent() -> None:
    assert measured(accuracy(), reset=True) == []


def test_a_metric_that_runs_on_within_a_pass_is_silent() -> None:
    assert measured(accuracy(), reset=False, within=True) == []


def test_the_value_of_each_batch_is_silent() -> None:
    metric = accuracy()
    loader = DataLoader(TensorDataset(torch.rand(16, 4), torch.arange(16) % 2), batch_size=4)
    with tensorcheck.watch(nn.Linear(4, 2), on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            for rows, wanted in loader:
                metric(rows.argmax(1) % 2, wanted)
            metric(torch.zeros(2), torch.zeros(2, dtype=torch.long))
    assert list(watch.findings) == []


LOOP = """
{before}
for epoch in range(2):
    {within}
    for batch in rows.split(8):
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
        seen += len(batch)
    {after}
"""


def counted(before: str, within: str, after: str) -> list[str]:
    model = nn.Linear(4, 1)
    names = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.01), "rows": torch.rand(16, 4)}
    program = LOOP.format(before=before, within=within, after=after)
    filename = f"<loop {hash(program)}>"
    linecache.cache[filename] = (len(program), None, program.splitlines(keepends=True), filename)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        exec(compile(program, filename, "exec"), names)  # noqa: S102 - the test's own
    return [finding.rule for finding in watch.findings]


def test_a_sum_over_all_epochs_that_is_divided_by_the_size_of_one_is_found() -> None:
    assert counted("total = 0.0\nseen = 0", "pass", "mean = total / len(rows)") == ["TCK514"]


@pytest.mark.parametrize(
    ("before", "within", "after"),
    [
        ("", "total, seen = 0.0, 0", "mean = total / len(rows)"),
        ("total = 0.0\nseen = 0", "total = 0.0", "mean = total / len(rows)"),
        ("total = 0.0\nseen = 0", "pass", "mean = total / seen"),
        ("total = 0.0\nseen = 0", "pass", "mean = total / len(rows) / (epoch + 1)"),
        ("total = 0.0\nseen = 0", "pass", "mean = total / (len(rows) * (epoch + 1))"),
        ("total = 0.0\nseen = 0", "pass", "mean, total = total / len(rows), 0.0"),
    ],
)
def test_counters_that_are_set_back_or_meant_for_all_epochs_are_silent(before: str, within: str, after: str) -> None:
    assert counted(before, within, after) == []

"""Samples that are trained on and evaluated on: the splits that leak and those that are meant."""

import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    random_split,
)

import tensorcheck
from tensorcheck.findings import Finding

Loader = DataLoader[Tensor]


def train(model: nn.Module, loader: Loader, optimizer: torch.optim.Optimizer) -> None:
    for batch in loader:
        optimizer.zero_grad()
        model(batch[0].float()).square().mean().backward()
        optimizer.step()


@torch.no_grad()
def evaluate(model: nn.Module, loader: Loader) -> float:
    return sum(float(model(batch[0].float()).mean()) for batch in loader)


def found(trained: Loader, evaluated: Loader | Sequence[Loader], features: int = 4) -> Sequence[Finding]:
    model = nn.Linear(features, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    val_loaders = [evaluated] if isinstance(evaluated, DataLoader) else evaluated
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(2):
            train(model, trained, optimizer)
            for each in val_loaders:
                evaluate(model, each)
    return [finding for finding in watch.findings if finding.rule == "TCK712"]


def rows(count: int = 64, features: int = 4) -> TensorDataset:
    return TensorDataset(torch.rand(count, features))


def loader(data: Dataset[tuple[Tensor, ...]], *, shuffle: bool = False) -> Loader:
    return DataLoader(data, batch_size=8, shuffle=shuffle)  # type: ignore[arg-type]  # what a batch is, stubs can't say


def test_two_random_splits_leak() -> None:
    data = rows()
    train_set, _ = random_split(data, [48, 16])
    _, val_set = random_split(data, [32, 32])
    (finding,) = found(loader(train_set), loader(val_set))
    assert finding.got.endswith("the same places of one dataset")


def test_a_training_on_everything_leaks_its_held_out_part() -> None:
    data = rows()
    _, val_set = random_split(data, [48, 16])
    val_loader = loader(val_set)
    (finding,) = found(loader(data, shuffle=True), val_loader)
    assert finding.headline == "16 of 16 samples of `val_loader` are in `trained` as well"


def test_samplers_that_overlap_leak_at_the_line_of_the_indices() -> None:
    data = rows()
    val_indices = list(range(40, 64))
    trained: Loader = DataLoader(data, batch_size=8, sampler=SubsetRandomSampler(range(50)))  # type: ignore[arg-type]
    val_loader: Loader = DataLoader(data, batch_size=8, sampler=SubsetRandomSampler(val_indices))  # type: ignore[arg-type]
    (finding,) = found(trained, val_loader)
    assert finding.site is not None
    assert (finding.site.code, finding.got) == (
        "list(range(40, 64))",
        "10 of 24 that it is trained on    the same places of one dataset",
    )


def test_samples_doubled_before_the_split_leak() -> None:
    order = torch.randperm(110, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([torch.rand(50, 4), torch.rand(10, 4).repeat(6, 1)])[order]
    train_rows, val_rows = doubled[:70], doubled[70:]
    (finding,) = found(loader(TensorDataset(train_rows)), loader(TensorDataset(val_rows)))
    assert finding.site is not None
    assert finding.site.code == "doubled[70:]"


def test_slices_that_overlap_leak_in_large_samples_too() -> None:
    images = torch.rand(24, 30000)
    (finding,) = found(loader(TensorDataset(images[:16])), loader(TensorDataset(images[8:])), features=30000)
    assert finding.got == "8 of 16 that it is trained on    equal in every value that was compared"


def split() -> tuple[Loader, Loader]:
    train_set, val_set = random_split(rows(), [48, 16])
    return loader(train_set), loader(val_set)


def the_training_itself() -> tuple[Loader, Loader]:
    data = rows()
    return loader(data, shuffle=True), loader(data)


def a_part_of_the_training() -> tuple[Loader, Loader]:
    data = rows()
    return loader(data, shuffle=True), loader(Subset(data, range(16)))


def everything_there_is() -> tuple[Loader, Loader]:
    data = rows()
    return loader(Subset(data, range(48))), loader(data)


def few_integers() -> tuple[Loader, Loader]:
    return loader(TensorDataset(torch.randint(3, (64, 4)))), loader(TensorDataset(torch.randint(3, (64, 4))))


def truth_table() -> tuple[Loader, Loader]:
    table = torch.tensor([[0.0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 1]])
    return loader(TensorDataset(table.repeat(16, 1))), loader(TensorDataset(table.repeat(4, 1)))


def few_that_are_equal_by_chance() -> tuple[Loader, Loader]:
    data = torch.rand(64, 4)
    data[60:] = data[:4]
    return loader(TensorDataset(data[:48])), loader(TensorDataset(data[48:]))


def blank_images() -> tuple[Loader, Loader]:
    blank = torch.zeros(16, 4)
    return loader(TensorDataset(torch.cat([blank, torch.rand(48, 4)]))), loader(
        TensorDataset(torch.cat([blank, torch.rand(16, 4)]))
    )


def repeated_for_longer_epochs() -> tuple[Loader, Loader]:
    train_set, val_set = random_split(rows(), [48, 16])
    return loader(ConcatDataset([train_set] * 3), shuffle=True), loader(val_set)


@pytest.mark.parametrize(
    "make",
    [
        split,
        the_training_itself,
        a_part_of_the_training,
        everything_there_is,
        few_integers,
        truth_table,
        few_that_are_equal_by_chance,
        blank_images,
        repeated_for_longer_epochs,
    ],
)
def test_what_is_no_leak_is_silent(make: Callable[[], tuple[Loader, Loader]]) -> None:
    trained, evaluated = make()
    assert not found(trained, evaluated)


def test_a_probe_beside_a_clean_validation_is_silent() -> None:
    data = rows()
    probe = loader(Subset(data, range(40, 64)))
    assert not found(loader(Subset(data, range(48))), [loader(rows(16)), probe])


def test_folds_with_a_model_each_are_silent() -> None:
    data = rows()
    with tensorcheck.watch(nn.Linear(1, 1), on_finding=list[Finding]().append) as watch:
        for fold in range(4):
            held_out = set(range(16 * fold, 16 * fold + 16))
            model = nn.Linear(4, 1)
            watch_too(model, data, held_out)
    assert not watch.findings


def watch_too(model: nn.Module, data: TensorDataset, held_out: set[int]) -> None:
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        train(model, loader(Subset(data, [each for each in range(64) if each not in held_out])), optimizer)
        evaluate(model, loader(Subset(data, sorted(held_out))))
    assert not watch.findings


def test_gradients_of_the_input_in_an_evaluation_are_no_training() -> None:
    train_set, val_set = random_split(rows(), [48, 16])
    val_loader, again = loader(val_set), loader(Subset(val_set, range(8)))
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        train(model, loader(train_set), optimizer)
        for batch in val_loader:
            inputs = batch[0].clone().requires_grad_()
            model(inputs).sum().backward()
        evaluate(model, again)
    assert "TCK712" not in [finding.rule for finding in watch.findings]


def test_a_validation_that_is_broken_off_is_no_training() -> None:
    train_set, val_set = random_split(rows(), [48, 16])
    val_loader, trained = loader(val_set), loader(train_set)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            train(model, trained, optimizer)
            with torch.no_grad():
                model(next(iter(val_loader))[0])
            evaluate(model, loader(Subset(val_set, range(8))))
    assert not watch.findings


class Words(Dataset[Tensor]):
    def __init__(self, sentences: list[list[int]]) -> None:
        self.sentences = sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(self.sentences[index])


def test_sentences_that_are_in_both_lists_leak() -> None:
    generator = torch.Generator().manual_seed(0)
    sentences = torch.randint(1000, (64, 6), generator=generator).tolist()

    def together(samples: list[Tensor]) -> list[Tensor]:
        return [torch.stack(samples)]

    def batches(part: list[list[int]]) -> Loader:
        return DataLoader(Words(part), batch_size=8, collate_fn=together)

    assert found(batches(sentences[:48]), batches(sentences[32:]), features=6)


SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Trainer:
    def __init__(self):
        x = torch.randn(100, 6)
        y = x.sum(1, keepdim=True)
        x_fit, y_fit = x[:80], y[:80]
        x_check, y_check = x[60:], y[60:]
        self.fit_dl = DataLoader(TensorDataset(x_fit, y_fit), batch_size=10, shuffle=True)
        self.check_dl = DataLoader(TensorDataset(x_check, y_check), batch_size=10)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
        self.opt = torch.optim.Adam(self.net.parameters())

    def check(self):
        with torch.no_grad():
            return sum(nn.functional.mse_loss(self.net(x), y).item() for x, y in self.check_dl)

    def run(self):
        for epoch in range(2):
            for x, y in self.fit_dl:
                self.opt.zero_grad()
                nn.functional.mse_loss(self.net(x), y).backward()
                self.opt.step()
            self.check()


Trainer().run()
"""


def test_a_trainer_class_is_told_the_line_of_the_slice(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "tensorcheck", "run", "script.py"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "warning[TCK712]" in answer.stderr
    assert "script.py:12:28" in answer.stderr


def test_nothing_is_kept_of_the_samples() -> None:
    def batches() -> Iterator[Tensor]:
        yield from (batch[0] for batch in loader(rows()))

    with tensorcheck.watch(nn.Linear(4, 1)):
        alive = [weakref.ref(batch) for batch in batches()]
    assert not any(each() is not None for each in alive[:-1])


IN_A_FUNCTION = """
import torch
from torch import nn
from torch.utils.data import DataLoader, random_split, TensorDataset

def batches(data, shuffle):
    return DataLoader(data, batch_size=16, shuffle=shuffle)

def prepare(data):
    torch.manual_seed(0)
    fit, _ = random_split(data, [80, 20])
    _, held = random_split(data, [80, 20])
    return batches(fit, True), batches(held, False)

def main():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    fitting, holding = prepare(TensorDataset(torch.randn(100, 3)))
    for epoch in range(2):
        for (x,) in fitting:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            total = 0.0
            for (x,) in holding:
                total += model(x).square().mean().item()
        model.train()

main()
"""


def test_functions_that_build_the_loaders_are_told_the_line_of_the_split(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(IN_A_FUNCTION)
    command = [sys.executable, "-m", "tensorcheck", "run", "script.py"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "of 20 samples of `holding` are in `fitting` as well" in answer.stderr
    assert "script.py:12:15" in answer.stderr


def test_loaders_that_are_gone_are_compared_by_their_values() -> None:
    data = torch.rand(64, 4)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        train(model, loader(TensorDataset(data[:48])), optimizer)
        evaluate(model, loader(TensorDataset(data[32:])))
    assert [finding.rule for finding in watch.findings] == ["TCK712"]

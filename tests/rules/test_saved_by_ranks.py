"""Files that every process saves, and code that leaves it to one of them or gives each its own."""

import functools
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.testing._internal.distributed.fake_pg import FakeStore

import tensorcheck
from tensorcheck.findings import Finding

Save = Callable[[nn.Module], object]


@contextmanager
def process(rank: int, world: int = 2) -> Iterator[None]:
    """As if this were one of several processes."""
    distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def found(save: Save, *, rank: int, world: int = 2) -> Sequence[Finding]:
    """What is found where one process saves."""
    model = nn.Linear(4, 2)
    with process(rank, world), tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        save(model)
    return watch.findings


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def at_once(model: nn.Module) -> None:
    torch.save(model.state_dict(), "model.pt")


def into_an_open_file(model: nn.Module) -> None:
    with Path("model.pt").open("wb") as file:
        torch.save(model.state_dict(), file)


def the_best(model: nn.Module) -> None:
    best, loss, waited, patience = float("inf"), 0.5, 0, 4
    for epoch in range(2, 4):
        if waited > patience:
            break
        if loss < best and epoch % 1 == 0:
            best = loss
            torch.save({"model": model.state_dict(), "epoch": epoch}, "best.pt")


def checkpoint(model: nn.Module, path: str) -> None:
    torch.save(model.state_dict(), path)


def by_a_function(model: nn.Module) -> None:
    checkpoint(model, "model.pt")


class Trainer:
    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def save(self) -> None:
        torch.save(self.net.state_dict(), "model.pt")


def by_a_trainer(model: nn.Module) -> None:
    Trainer(model).save()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("save", [at_once, into_an_open_file, the_best, by_a_function, by_a_trainer])
def test_a_file_that_every_process_saves_is_found_in_each(save: Save, rank: int) -> None:
    (finding,) = found(save, rank=rank)
    assert finding.rule == "TCK812"
    assert finding.site is not None
    assert finding.site.code.startswith("torch.save(")
    assert finding.help.startswith("if torch.distributed.get_rank() == 0: torch.save(")


def asked(model: nn.Module) -> None:
    if distributed.get_rank() == 0:
        torch.save(model.state_dict(), "model.pt")


def asked_outside(model: nn.Module) -> None:
    is_main = distributed.get_rank() == 0
    if is_main:
        checkpoint(model, "model.pt")


def left_before(model: nn.Module) -> None:
    me = distributed.get_rank()
    if me != 0:
        return
    torch.save(model.state_dict(), "model.pt")


class Settings:
    saves = True


def left_before_by_any_other(model: nn.Module) -> None:
    if distributed.get_rank():
        return
    torch.save(model.state_dict(), "model.pt")


def asked_of_an_object(model: nn.Module) -> None:
    settings = Settings()
    if settings.saves:
        torch.save(model.state_dict(), "model.pt")


def of_each(model: nn.Module) -> None:
    torch.save(model.state_dict(), f"model_{distributed.get_rank()}.pt")


def into_a_folder_of_each(model: nn.Module) -> None:
    folder = Path(f"rank{distributed.get_rank()}")
    folder.mkdir()
    torch.save(model.state_dict(), folder / "model.pt")


def to_memory(model: nn.Module) -> None:
    torch.save(model.state_dict(), io.BytesIO())


def to_nowhere(model: nn.Module) -> None:
    torch.save(model.state_dict(), os.devnull)


def to_a_temporary_folder(model: nn.Module) -> None:
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), Path(folder, "model.pt"))


def asked_in_an_expression(model: nn.Module) -> None:
    distributed.get_rank() == 0 and torch.save(model.state_dict(), "model.pt")  # type: ignore[func-returns-value]


HEALTHY = [of_each, into_a_folder_of_each, to_memory, to_nowhere, to_a_temporary_folder]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "save", [asked, asked_outside, left_before, asked_in_an_expression, left_before_by_any_other, *HEALTHY]
)
def test_what_one_process_saves_or_each_by_itself_is_silent(save: Save, rank: int) -> None:
    assert not found(save, rank=rank)


def only_first(function: Save) -> Save:
    @functools.wraps(function)
    def inner(model: nn.Module) -> object:
        return function(model) if distributed.get_rank() == 0 else None

    return inner


@only_first
def decorated(model: nn.Module) -> None:
    torch.save(model.state_dict(), "model.pt")


def rank_zero_only(function: Save) -> Save:
    """As a library has it, whose own code is not read."""
    return function


@rank_zero_only
def decorated_by_a_library(model: nn.Module) -> None:
    torch.save(model.state_dict(), "model.pt")


@pytest.mark.parametrize("save", [decorated, decorated_by_a_library, asked_of_an_object])
def test_what_may_keep_the_others_from_it_is_silent(save: Save) -> None:
    assert not found(save, rank=0)


def test_another_process_than_the_first_may_be_the_one_that_saves() -> None:
    def save(model: nn.Module) -> None:
        last, me = 1, distributed.get_rank()
        if me == last:
            torch.save(model.state_dict(), "model.pt")

    assert not found(save, rank=1)


def test_a_rank_that_was_chosen_before_may_be_the_one_that_saves() -> None:
    def save(model: nn.Module) -> None:
        is_saving_rank = distributed.get_rank() == distributed.get_world_size() - 1
        if is_saving_rank:
            torch.save(model.state_dict(), "model.pt")

    assert not found(save, rank=1)


def test_a_single_process_is_silent() -> None:
    assert not found(at_once, rank=0, world=1)


def test_the_first_process_of_another_machine_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not found(at_once, rank=1)

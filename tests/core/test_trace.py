"""The trace: what it knows of a tensor, and that it keeps none."""

import gc
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset

import tensorcheck
from tensorcheck.trace import Origin


class Rows(Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((4,), float(index)), index % 2


class Net(nn.Module):
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)
        self.register_buffer("mask", torch.ones(8))
        self.plain = torch.ones(8)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = torch.relu(self.body(rows)) * self.mask + self.plain
        logits: Tensor = self.head(hidden)
        return logits


def test_a_tensor_is_followed_back_to_the_field_of_its_batch() -> None:
    model = Net()
    with tensorcheck.watch(model) as watch:
        rows, _ = next(iter(DataLoader(Rows(), batch_size=4)))
        logits = model(rows)
        where = watch.where(logits)
    assert [operation.name for operation in where.operations()] == ["linear", "add", "mul", "relu", "linear"]
    assert [operation.module for operation in where.operations()] == ["head", "", "", "", "body"]
    assert (where.source.origin, where.source.name) == (Origin.BATCH, "batch[0]")


def test_what_no_operation_made_is_named_by_its_place() -> None:
    model = Net()
    with tensorcheck.watch(model) as watch:
        logits = model(torch.zeros(2, 4))
        where = watch.where(logits)
    sources = {(value.origin, value.name) for value in where.trace.sources(where.value)}
    assert sources >= {
        (Origin.PARAMETER, "head.weight"),
        (Origin.BUFFER, "mask"),
        (Origin.ATTRIBUTE, "plain"),
    }


def test_each_operation_has_the_users_line() -> None:
    model = Net()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4))
    codes = {operation.name: operation.site.code for operation in watch.trace.operations if operation.site}
    assert codes["relu"] == "torch.relu(self.body(rows))"
    assert codes["linear"] == "self.head(hidden)"


def test_an_operation_in_place_makes_a_new_value_of_the_same_tensor() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        numbers = torch.zeros(3)
        numbers.add_(1)
        numbers[0] = 5
        names = [operation.name for operation in watch.where(numbers).operations()]
    assert names == ["__setitem__", "add_", "zeros"]


def test_joined_tensors_have_all_their_sources() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        parts = [torch.zeros(2), torch.ones(2), torch.full((2,), 3.0)]
        where = watch.where(torch.hstack([torch.stack(parts), torch.vstack(parts)]))
    made = {where.trace.operations[value.operation].name for value in where.trace.values if value.operation is not None}
    assert made == {"zeros", "ones", "full", "stack", "vstack", "hstack"}
    assert len(list(where.trace.ancestors(where.value))) == 6


def test_an_optimizer_step_is_no_operation_and_a_loss_is_one() -> None:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    with tensorcheck.watch(model) as watch:
        functional.cross_entropy(model(torch.zeros(2, 4)), torch.zeros(2, dtype=torch.long)).backward()
        optimizer.step()
        names = [operation.name for operation in watch.trace.operations]
    assert "cross_entropy" in names
    assert not {"addcdiv_", "lerp_", "mul_"} & set(names)


def test_only_the_first_steps_are_recorded() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(5):
            model(torch.zeros(2, 4)).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            assert torch._C._len_torch_function_stack() <= 1
        assert torch._C._len_torch_function_stack() == 0
    assert watch.trace.step == 2
    assert [operation.name for operation in watch.trace.operations].count("linear") == 2


def test_a_tensor_that_the_trace_does_not_know_is_refused() -> None:
    before = torch.zeros(1)
    with tensorcheck.watch(nn.Identity()) as watch, pytest.raises(LookupError, match="does not know"):
        watch.where(before)


class Users(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_the_stack_of_modes_is_left_as_it_was_found() -> None:
    users = Users()
    with users:
        watch = tensorcheck.watch(nn.Identity())
        inner = Users()
        with inner, tensorcheck.watch(nn.Identity()), torch.device("meta"):
            assert torch.zeros(1).device.type == "meta"
            watch.close()
        assert torch.overrides._get_current_function_mode_stack() == [users]
    assert torch._C._len_torch_function_stack() == 0


def test_a_crash_leaves_no_mode() -> None:
    with pytest.raises(RuntimeError), tensorcheck.watch(Net()) as watch:
        watch(torch.zeros(2, 5))
    assert torch._C._len_torch_function_stack() == 0


@pytest.mark.parametrize("is_training", [True, False])
def test_attention_keeps_its_fast_path_and_its_bits(is_training: bool) -> None:  # noqa: FBT001 - a parameter
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(is_training)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(is_training)
    words = torch.rand(2, 5, 8)
    with torch.no_grad():
        bare = model(words)
        with tensorcheck.watch(model) as watch:
            watched = model(words)
            names = {operation.name for operation in watch.where(watched).operations()}
    assert torch.equal(bare, watched)
    assert ("TransformerEncoder" in names) is not is_training


def test_no_tensor_is_kept_by_the_trace() -> None:
    model = Net()
    with tensorcheck.watch(model):
        rows = torch.zeros(2, 4)
        logits = model(rows)
        references = [weakref.ref(rows), weakref.ref(logits)]
        del rows, logits
        assert [reference() for reference in references] == [None, None]


def test_the_trace_of_many_operations_takes_little_memory() -> None:
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(50)))
    rows = torch.zeros(4096, 64)
    activations = 50 * rows.numel() * 4
    gc.collect()
    tracemalloc.start()
    with tensorcheck.watch(model):
        before, _ = tracemalloc.get_traced_memory()
        model(rows)
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 0.02 * activations


def test_shapes_are_those_that_really_ran() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4)).mean().backward()
        optimizer.step()
    assert str(watch.shapes()) == (
        "module  kind    input                    output                   parameters  gradient\n"
        "body    Linear  float32[2, 4] cpu        float32[2, 8] cpu, grad          40  yes\n"
        "head    Linear  float32[2, 8] cpu, grad  float32[2, 2] cpu, grad          18  yes"
    )


def test_a_module_that_is_called_twice_has_two_rows() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, shared)
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4))
    assert [row.path for row in watch.shapes().rows] == ["0", "0"]


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        return numbers * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * 2


def double(numbers: Tensor) -> Tensor:
    doubled: Tensor = Double.apply(numbers)  # type: ignore[no-untyped-call]  # torch's own has no annotations
    return doubled


def test_constructors_and_functions_that_no_mode_sees_are_recorded() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        numbers = torch.from_numpy(np.ones(3)).requires_grad_()
        names = [operation.name for operation in watch.where(double(numbers)).operations()]
    assert names == ["Double", "requires_grad_", "from_numpy"]
    assert double(torch.ones(1)).item() == 2


def test_the_forward_pass_in_a_closure_is_recorded() -> None:
    model = Net()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(torch.zeros(2, 4)).square().mean()
        loss.backward()
        return float(loss.detach())

    with tensorcheck.watch(model) as watch:
        optimizer.step(closure)
    assert "linear" in [operation.name for operation in watch.trace.operations]

"""The trace: what it knows of a tensor, and that it keeps none."""

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

import tensorcheck
from tensorcheck.events.crash import Crashed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.tracing import MOST_REARMS
from tensorcheck.session import Session
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
    seen = [(operation.name, operation.module) for operation in where.operations()]
    assert seen[:5] == [("linear", "head"), ("add", ""), ("mul", ""), ("relu", ""), ("linear", "body")]
    assert (where.source.origin, where.source.name) == (Origin.BATCH, "batch[0]")


def test_a_batch_is_followed_on_to_the_operations_of_its_dataset() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        rows, _ = next(iter(DataLoader(Rows(), batch_size=4)))
        where = watch.where(rows)
    assert (where.source.origin, where.source.name) == (Origin.BATCH, "batch[0]")
    made = [(operation.name, operation.site and operation.site.code) for operation in where.operations()]
    assert [name for name, _ in made] == ["stack", "full"]
    assert made[1][1] == "torch.full((4,), float(index))"


def collated(samples: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    return {"rows": torch.cat([row for row, _ in samples]) / 255}


def test_a_batch_is_followed_on_to_the_operations_of_its_collate_function() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        batch = next(iter(DataLoader(Rows(), batch_size=4, collate_fn=collated)))
        where = watch.where(batch["rows"] * 2)
    assert [operation.name for operation in where.operations()] == ["mul", "div", "cat", "full"]
    assert str(where.source).startswith('batch["rows"]: float32[16] cpu')
    assert "of batch" in str(where)


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
    assert watch.report.record.coverage.traced == 3
    assert [operation.name for operation in watch.trace.operations].count("linear") == 2


def test_a_tensor_that_neither_the_trace_nor_the_source_knows_is_refused() -> None:
    before = torch.zeros(1)
    line = compile("watch.where(before)", "<no source>", "eval")
    with tensorcheck.watch(nn.Identity()) as watch, pytest.raises(LookupError, match="does not know"):
        eval(line, {"watch": watch, "before": before})  # noqa: S307 - a line without a source


def test_a_tensor_that_was_made_before_the_trace_is_followed_in_the_source() -> None:
    before = torch.zeros(1)
    with tensorcheck.watch(nn.Identity()) as watch:
        where = watch.where(before)
    assert where.source.origin is Origin.UNKNOWN
    assert str(where).endswith("torch.zeros(1)")


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


class Forgetting(Tensor):
    """The first operation with it lets go of all models."""

    models: list[nn.Module] = []  # noqa: RUF012 - emptied, and asked in the process that fills it

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.models.clear()
        gc.collect()
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def test_a_session_that_ends_within_an_operation_leaves_no_mode_to_the_next() -> None:
    Forgetting.models.append(nn.Identity())
    tensorcheck.watch(Forgetting.models[0])
    rows = torch.rand(2).as_subclass(Forgetting)
    assert torch._C._len_torch_function_stack() == 1
    rows + 1
    assert not Forgetting.models
    with tensorcheck.watch(nn.Identity()):
        assert torch._C._len_torch_function_stack() == 1
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


def train(model: nn.Module, steps: int, columns: int = 4) -> None:
    """Steps without anything new."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.zeros(2, columns)).square().mean().backward()
        optimizer.step()


def depth_of_modes() -> int:
    return len(torch.overrides._get_current_function_mode_stack())


def test_a_call_of_a_new_signature_is_traced_again_for_one_step() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        train(model, 5)
        assert watch.trace.step == 2
        logits = model(torch.zeros(3, 2, 4))
        assert [operation.name for operation in watch.where(logits).operations()] == ["linear"]
        assert watch.trace.step == 5
        logits.mean().backward()
        optimizer.step()
        assert depth_of_modes() == 0
        train(model, 3)
        assert watch.trace.step == 5
    assert watch.report.record.coverage.traced == 4


def test_a_call_of_another_size_is_nothing_new() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        train(model, 4)
        model(torch.zeros(7, 4))
        assert depth_of_modes() == 0
    assert watch.trace.step == 2


def test_the_first_switch_to_evaluation_and_the_first_back_are_traced() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        train(model, 4)
        steps = []
        for _ in range(3):
            model.eval()
            for _ in range(4):
                model(torch.zeros(2, 4))
            steps.append(watch.trace.step)
            assert depth_of_modes() == 0
            model.train()
            train(model, 2)
            steps.append(watch.trace.step)
    assert steps == [4, 4, 4, 4, 4, 4]
    assert watch.report.record.coverage.traced == 4


def test_a_finding_lets_the_next_step_be_traced_from_its_batch_on() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found: list[object] = []
    with tensorcheck.watch(model, on_finding=found.append) as watch:
        train(model, 4)
        with pytest.warns(UserWarning, match="target size"):
            functional.mse_loss(model(torch.zeros(8, 4)), torch.zeros(8)).backward()
        assert found
        optimizer.step()
        assert depth_of_modes() == 1
        rows, _ = next(iter(DataLoader(Rows(), batch_size=4)))
        where = watch.where(model(rows))
        assert [operation.name for operation in where.operations()] == ["linear", "stack", "full"]
        optimizer.step()
        assert depth_of_modes() == 0
    assert watch.trace.step == 5


def test_a_trace_is_re_armed_a_few_times_only() -> None:
    model = nn.Identity()
    with tensorcheck.watch(model, nn.Linear(1, 1)) as watch:
        train(nn.Sequential(nn.Linear(4, 1)), 3)
        stepped = torch.optim.SGD(watch._session.subjects[1].model().parameters(), lr=0.1)  # type: ignore[union-attr]
        for _ in range(3):
            stepped.step()
        seen = []
        for rank in range(1, 12):
            model(torch.zeros([1] * rank))
            seen.append(depth_of_modes())
            stepped.step()
    assert sum(seen) == MOST_REARMS
    assert depth_of_modes() == 0


def test_a_re_armed_step_keeps_the_bits_and_leaves_nothing() -> None:
    def weights(*, is_watched: bool) -> list[Tensor]:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        model = nn.Sequential(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Dropout())
        optimizer = torch.optim.AdamW(model.parameters())
        outputs = []
        with tensorcheck.watch(model) if is_watched else nullcontext():
            for step in range(10):
                model.train()
                rows = torch.rand(2, 3, 8, requires_grad=step % 4 == 3)
                optimizer.zero_grad()
                model(rows).square().mean().backward()
                optimizer.step()
                with torch.no_grad():
                    outputs.append(model.eval()(torch.rand(2, 3, 8)))
        return [*outputs, *(parameter.detach() for parameter in model.parameters())]

    bare, watched = weights(is_watched=False), weights(is_watched=True)
    assert all(torch.equal(one, other) for one, other in zip(bare, watched, strict=True))
    assert depth_of_modes() == 0
    assert PATCHES.is_empty()


def test_an_encoder_whose_own_call_is_new_keeps_its_fast_path() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    words = torch.rand(2, 5, 8)
    with torch.no_grad():
        bare = model.eval()(words)
        model.train()
        with tensorcheck.watch(model):
            for _ in range(4):
                model(words)
                torch.optim.SGD(model.parameters(), lr=0.0).step()
            assert torch.equal(model.eval()(words), bare)


def test_a_watch_that_closes_in_a_re_armed_step_leaves_nothing() -> None:
    one, two = nn.Linear(4, 1), nn.Linear(4, 1)
    first, second = tensorcheck.watch(one), tensorcheck.watch(two)
    train(one, 4)
    train(two, 4)
    one(torch.zeros(4))
    two(torch.zeros(4))
    assert depth_of_modes() == 2
    first.close()
    assert depth_of_modes() == 1
    second.close()
    assert depth_of_modes() == 0
    assert PATCHES.is_empty()


def test_another_threads_new_call_arms_nothing() -> None:
    model = nn.Linear(4, 1)
    depths = []
    with tensorcheck.watch(model):
        train(model, 4)
        thread = threading.Thread(target=lambda: depths.append(model(torch.zeros(4)).dim() - 1 + depth_of_modes()))
        thread.start()
        thread.join()
    assert depths == [0]


def test_a_child_that_was_forked_in_a_re_armed_step_has_no_mode() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model), warnings.catch_warnings(action="ignore"):
        train(model, 4)
        model(torch.zeros(4))
        child = os.fork()
        if child == 0:
            model(torch.zeros(1, 1, 1, 4))
            os._exit(depth_of_modes())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert depth_of_modes() == 1


def test_nothing_is_re_armed_once_something_was_compiled() -> None:
    torch._dynamo.reset()
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model):
        train(model, 4)
        torch.compile(torch.relu, backend="eager")(torch.zeros(1))
        model(torch.zeros(4))
        assert depth_of_modes() == 0
    torch._dynamo.reset()


@pytest.mark.parametrize("steps", [1, 5])
def test_a_crash_shows_the_calls_of_its_own_step_alone(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    crashes: list[Crashed] = []
    monkeypatch.setattr(Session, "_explain", lambda _self, crash, _error: crashes.append(crash))
    model = Net()
    with pytest.raises(RuntimeError), tensorcheck.watch(model):
        train(model, steps)
        torch.stack([torch.zeros(2), torch.zeros(3)])
    (crash,) = crashes
    assert crash.calls == ()
    operations = crash.trace.operations if crash.trace is not None else ()
    assert [operation.name for operation in operations] == (["zeros", "zeros"] if steps == 1 else [])


def test_views_and_indices_lead_back_to_their_source() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        table = torch.zeros(4, 6)
        picked = table.view(2, 12).transpose(0, 1)[1:3, 0][torch.tensor([0, 1])]
        names = [operation.name for operation in watch.where(picked).operations()]
    assert names == ["__getitem__", "__getitem__", "transpose", "view", "zeros"]


def test_autocast_is_followed_through() -> None:
    model = Net()
    with tensorcheck.watch(model) as watch, torch.autocast("cpu", dtype=torch.bfloat16):
        where = watch.where(model(torch.zeros(2, 4)))
    assert [operation.name for operation in where.operations()] == ["linear", "add", "mul", "relu", "linear", "zeros"]
    assert str(where).startswith("bfloat16[2, 2] cpu, grad")


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_checkpoint_is_followed_through(use_reentrant: bool) -> None:  # noqa: FBT001 - a parameter
    model = Net()
    with tensorcheck.watch(model) as watch:
        rows = torch.zeros(2, 4).requires_grad_()
        logits = checkpoint(model, rows * 3, use_reentrant=use_reentrant)
        names = [operation.name for operation in watch.where(logits).operations()]
        logits.sum().backward()
    inside = ["CheckpointFunction"] if use_reentrant else ["linear", "add", "mul", "relu", "linear"]
    assert names == [*inside, "mul", "requires_grad_", "zeros"]


def test_vmap_is_followed_through() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        rows = torch.zeros(2, 4)
        names = [operation.name for operation in watch.where(vmap(torch.sin)(rows)).operations()]
    assert names == ["vmap", "sin", "vmap", "zeros"]


def test_the_gradient_of_a_function_is_followed_through() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        rows = torch.zeros(4)
        names = [op.name for op in watch.where(grad(lambda row: row.sin().sum())(rows)).operations()]
    assert names[0] == "grad"
    assert names[-1] == "zeros"
    assert {"sin", "sum"} <= set(names)


def test_a_functional_call_is_followed_through() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        weights = {name: tensor.detach() * 2 for name, tensor in model.named_parameters()}
        where = watch.where(functional_call(model, weights, (torch.zeros(2, 4),)))
    assert [operation.name for operation in where.operations()] == ["linear", "zeros"]
    assert "weight" in {value.name for value in where.trace.sources(where.value)}


def test_a_parameter_that_is_made_in_the_loop_is_followed_to_its_line() -> None:
    with tensorcheck.watch(nn.Identity()) as watch:
        scale = nn.Parameter(torch.ones(3))
        where = watch.where(scale * 2)
        where_itself = watch.where(scale)
    assert [operation.name for operation in where.operations()] == ["mul"]
    assert str(where_itself).endswith("nn.Parameter(torch.ones(3))")


MADE = (
    "torch.Tensor([1.0])",
    "torch.FloatTensor([1.0])",
    "torch.from_numpy(np.ones(1))",
    "torch.frombuffer(bytearray(4), dtype=torch.float32)",
    "torch.from_dlpack(np.ones(1))",
    "torch.nn.Parameter(torch.ones(1))",
)


@pytest.mark.parametrize("code", MADE)
def test_the_line_of_a_constructor_that_no_mode_sees_is_named(code: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"made = {code}\nwhere = watch.where(made)\n")
    with tensorcheck.watch(nn.Identity()) as watch:
        names = {"torch": torch, "np": np, "watch": watch, "__name__": "__main__"}
        exec(compile(script.read_text(), str(script), "exec"), names)  # noqa: S102 - a line for each constructor
    assert f"script.py:1:8: {code}" in str(names["where"])


class Dispatching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def modes_now() -> tuple[list[Any], list[Any]]:
    return (
        torch.overrides._get_current_function_mode_stack(),
        torch.utils._python_dispatch._get_current_dispatch_mode_stack(),
    )


def test_a_users_modes_and_default_devices_are_left_as_they_were() -> None:
    model = Net()
    dispatching = Dispatching()  # type: ignore[no-untyped-call]  # torch's own has no annotations
    torch.set_default_device("cpu")
    try:
        with Users(), dispatching, torch.device("meta"):
            before = modes_now()
            with tensorcheck.watch(model) as watch:
                assert torch.zeros(1).device.type == "meta"
                train(nn.Sequential(nn.Linear(4, 1)), 4)
                watch.close()
                assert modes_now() == before
    finally:
        torch.set_default_device(None)
    assert modes_now() == ([], [])


def test_a_device_that_was_there_when_a_watch_began_goes_with_its_block() -> None:
    with torch.device("meta"):
        watch = tensorcheck.watch(nn.Identity())
    try:
        assert torch.zeros(1).device.type == "cpu"
    finally:
        watch.close()
    assert modes_now() == ([], [])


def test_a_default_device_that_is_set_while_watched_stays() -> None:
    try:
        with tensorcheck.watch(nn.Identity()):
            torch.set_default_device("meta")
            assert torch.zeros(1).device.type == "meta"
        assert torch.zeros(1).device.type == "meta"
    finally:
        torch.set_default_device(None)
    assert modes_now() == ([], [])


def test_an_exception_in_a_users_mode_leaves_their_modes() -> None:
    with Users():
        before = modes_now()
        with pytest.raises(ZeroDivisionError), tensorcheck.watch(Net()) as watch:
            watch(torch.zeros(2, 4))
            raise ZeroDivisionError
        assert modes_now() == before


def test_a_step_in_a_hook_of_backward_leaves_one_mode_at_most() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.weight.register_post_accumulate_grad_hook(lambda _: optimizer.step())
    with tensorcheck.watch(model):
        for _ in range(6):
            model(torch.zeros(2, 4)).sum().backward()
            assert depth_of_modes() <= 1
        assert depth_of_modes() == 0
    assert depth_of_modes() == 0


PEAK = """
import contextlib, resource, sys, torch, tensorcheck
model = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh()) for _ in range(50)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with tensorcheck.watch(model):
    model(torch.zeros(2, 64)).sum().backward()  # what is imported and compiled once is no part of a step
with tensorcheck.watch(model) if sys.argv[1] == "watched" else contextlib.nullcontext():
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.zeros(4096, 64)).sum().backward()
        optimizer.step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak(how: str) -> int:
    """The most bytes that a process ever had, which counts Python's memory and that of tensors alike.

    With one arena, and large blocks mapped one by one, the allocator's own share is the same from run to run.
    """
    settings = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", PEAK, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **settings})
    return int(done.stdout)


def test_the_real_peak_of_memory_hardly_grows() -> None:
    activations = 100 * 4096 * 64 * 4
    assert peak("watched") - peak("bare") < 0.02 * activations


def test_modules_in_a_sequence_are_named_with_their_kind() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    with tensorcheck.watch(model) as watch:
        where = watch.where(model(torch.zeros(2, 4)))
    assert "linear in `1.1` (Linear)" in str(where)
    assert "relu in `1.0` (ReLU)" in str(watch.trace)
    assert [line.split()[:2] for line in str(watch.shapes()).splitlines()[1:]] == [
        ["0", "Linear"],
        ["1", "Sequential"],
        ["0", "ReLU"],
        ["1", "Linear"],
    ]


class Scaled(nn.Module):
    """A parameter of its own, a layer in a loop, and one whose gradient stops."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.again = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)

    def forward(self, rows: Tensor) -> Tensor:
        for _ in range(3):
            rows = self.again(rows)
        scaled: Tensor = rows * self.scale + self.unused(rows.detach()).detach().to(torch.float64)
        return scaled


def test_shapes_of_loops_gradients_and_the_model_itself() -> None:
    model = Scaled()
    with tensorcheck.watch(model) as watch:
        train(model, 1)
    rows = watch.shapes().rows
    assert [(row.path, row.kind, row.gradient) for row in rows] == [
        ("", "Scaled", "yes"),
        *[("again", "Linear", "yes")] * 3,
        ("unused", "Linear", "no"),
    ]
    assert [str(tensor.meta) for tensor in rows[0].outputs] == ["float64[2, 4] cpu, grad"]
    assert [row.inputs[0].meta.requires_grad for row in rows[1:]] == [False, True, True, False]


def test_a_model_that_is_one_layer_has_a_row() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        train(model, 4)
    assert [(row.path, row.gradient) for row in watch.shapes().rows] == [("", "yes")]
    assert "the model  Linear" in str(watch.shapes())

"""Law 1: the training is as it would be without tensorcheck, and nothing is left behind."""

import copy
import gc
import io
import os
import random
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.nn import functional
from torch.nn.functional import mse_loss as imported_by_name
from torch.optim import optimizer as optimizers
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.observe.patches import PATCHES

Watching = Callable[[nn.Module], AbstractContextManager[object]]


class Net(nn.Module):
    """Everything that draws random numbers or keeps state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4 * 6 * 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.drop(self.norm(self.conv(images)).relu())
        logits: Tensor = self.head(hidden.flatten(1))
        return logits


def batches(workers: int = 0) -> DataLoader[tuple[Tensor, ...]]:
    images, labels = torch.rand(40, 1, 8, 8), torch.randint(3, (40,))
    return DataLoader(TensorDataset(images, labels), batch_size=8, shuffle=True, num_workers=workers)


def train(watching: Watching, workers: int = 0) -> tuple[list[Tensor], list[float], tuple[Any, ...]]:
    """Weights, losses and the random states after ten steps."""
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is compared
    random.seed(3)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    losses = []
    with watching(model):
        for _ in range(2):
            for images, labels in batches(workers):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                losses.append(loss.item())
            model.eval()
            with torch.inference_mode():
                model(torch.zeros(2, 1, 8, 8))
            model.train()
    states = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]  # noqa: NPY002
    return [*model.state_dict().values()], losses, states


@pytest.mark.parametrize("workers", [0, 1])
def test_weights_losses_and_random_states_are_the_same_bits(workers: int) -> None:
    bare = train(lambda _: nullcontext(), workers)
    watched = train(tensorcheck.watch, workers)

    assert all(torch.equal(one, other) for one, other in zip(bare[0], watched[0], strict=True))
    assert bare[1:] == watched[1:]


def state_of_torch() -> tuple[object, ...]:
    return (
        nn.Module.__call__,
        nn.Module.requires_grad_,
        "forward" in vars(nn.Linear) and nn.Linear.forward,
        vars(nn.Linear).get("__call__"),
        torch.autograd.backward,
        torch.optim.Optimizer.zero_grad,
        torch.optim.Optimizer.__init__,
        torch.optim.lr_scheduler.LRScheduler.step,
        functional.cross_entropy,
        functional.cross_entropy.__code__,
        getattr(functional.cross_entropy, "__wrapped__", None),
        len(optimizers._global_optimizer_pre_hooks),
        len(optimizers._global_optimizer_post_hooks),
    )


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    before = state_of_torch()
    assert PATCHES.is_empty()
    yield
    assert PATCHES.is_empty()
    assert state_of_torch() == before


def test_close_leaves_nothing_behind() -> None:
    with nothing_left_behind(), tensorcheck.watch(nn.Linear(2, 1)):
        assert not PATCHES.is_empty()


def test_an_exception_leaves_nothing_behind() -> None:
    with nothing_left_behind(), pytest.raises(RuntimeError), tensorcheck.watch(nn.Linear(2, 1)) as watch:
        watch(torch.zeros(3, 5))


def test_sessions_may_close_in_any_order() -> None:
    with nothing_left_behind():
        first, second = nn.Linear(2, 1), nn.Linear(2, 1)
        one = tensorcheck.watch(first)
        two = tensorcheck.watch(second)
        one.close()
        with pytest.raises(RuntimeError):
            second(torch.zeros(3, 5))
        two.close()
        two.close()
        assert [finding.rule for finding in two.findings] == ["TCK201"]
        assert not one.findings


def test_a_model_that_is_gone_closes_its_session() -> None:
    with nothing_left_behind():
        tensorcheck.watch(nn.Linear(2, 1))
        gc.collect()


def test_no_tensor_outlives_its_step() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    alive: list[weakref.ref[Tensor]] = []
    with tensorcheck.watch(model):
        for _ in range(5):
            images = torch.rand(8, 1, 8, 8)
            output = model(images)
            loss = functional.cross_entropy(output, torch.zeros(8, dtype=torch.long))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            alive += [weakref.ref(tensor) for tensor in (images, output, loss)]
            del images, output, loss
            assert not any(reference() is not None for reference in alive)


def saved(model: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    return buffer.getvalue()


def test_a_watched_model_is_pickled_and_copied_as_before() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    bare = saved(model)
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(4, 2))
        assert saved(model) == bare
        twin = copy.deepcopy(model)
        with pytest.raises(RuntimeError):
            twin(torch.zeros(4, 7))
    assert not watch.findings, "the copy is not watched"


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("is_compiled_first", [True, False])
def test_compiled_models_compile_as_often_as_before(is_compiled_first: bool) -> None:  # noqa: FBT001 - a parameter
    def frames(watching: Watching) -> tuple[int, Tensor]:
        torch._dynamo.reset()
        counter = CompileCounter()
        torch.manual_seed(0)
        last = nn.Linear(8, 2)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        compiled: Any = torch.compile(model, backend=counter) if is_compiled_first else model
        with watching(compiled) as watch:
            call = compiled if is_compiled_first else torch.compile(model, backend=counter)
            for _ in range(6):
                optimizer.zero_grad()
                functional.mse_loss(call(torch.rand(16, 4)), torch.rand(16, 2)).backward()
                optimizer.step()
        if isinstance(watch, tensorcheck.Watch):
            assert watch.report.record.coverage.steps == 6
            skipped = [skipped.what for skipped in watch.report.record.coverage.skipped]
            assert skipped == ["operations"], "the calls are seen"
        return counter.frame_count, last.weight.detach()

    bare, watched = frames(lambda _: nullcontext()), frames(tensorcheck.watch)
    assert bare[0] == watched[0]
    assert torch.equal(bare[1], watched[1])


@pytest.mark.usefixtures("fresh_compiler")
def test_a_compiled_step_with_a_loss_inside_runs_as_before() -> None:
    model = nn.Linear(4, 2)

    @torch.compile(backend="eager", fullgraph=True)
    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(model(inputs), targets)

    inputs, targets = torch.rand(8, 4), torch.zeros(8, dtype=torch.long)
    with tensorcheck.watch(model) as watch:
        inside = step(inputs, targets)
    assert torch.equal(inside, step(inputs, targets))
    assert not watch.findings


def test_scripting_a_loss_works_while_watched() -> None:
    with tensorcheck.watch(nn.Linear(4, 2)), warnings.catch_warnings(action="ignore"):
        scripted = torch.jit.script(nn.CrossEntropyLoss())
    assert scripted(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)).item() == pytest.approx(np.log(3))


class Scripted(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.relu(inputs) + torch.ones(1)


@pytest.mark.usefixtures("fresh_compiler")
def test_a_watched_model_can_be_scripted_traced_and_exported() -> None:
    model = Scripted()
    with tensorcheck.watch(model), warnings.catch_warnings(action="ignore"):
        variants = [torch.jit.script(model), torch.fx.symbolic_trace(model), torch.jit.trace(model, torch.ones(2))]
        exported = torch.export.export(model, (torch.ones(2),)).module()
    for variant in (*variants, exported):
        assert torch.equal(variant(torch.ones(2)), torch.full((2,), 2.0))


def test_a_trace_of_a_watched_model_has_the_same_operations_and_warns_of_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    rows = torch.ones(3, 4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        before = torch.jit.trace(model, rows)
        with tensorcheck.watch(model):
            watched = torch.jit.trace(model, rows)
    kinds = [[node.kind() for node in each.inlined_graph.nodes()] for each in (before, watched)]
    assert kinds[0] == kinds[1]


def test_a_users_function_mode_sees_what_it_would_see() -> None:
    seen: list[str] = []

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(getattr(func, "__name__", str(func)))
            return func(*args, **(kwargs or {}))

    def calls(watching: Watching) -> list[str]:
        seen.clear()
        model = nn.Linear(4, 1)
        with watching(model), Recorder():
            functional.mse_loss(model(torch.zeros(8, 4)), torch.zeros(8, 1)).backward()
        return list(seen)

    assert calls(tensorcheck.watch) == calls(lambda _: nullcontext())


def test_a_loss_that_was_imported_by_name_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch, pytest.warns(UserWarning, match="target size"):
        imported_by_name(model(torch.zeros(8, 4)), torch.zeros(8))
    assert [finding.rule for finding in watch.findings] == ["TCK202"]
    assert "error[TCK202]" in capsys.readouterr().err


def test_warnings_of_torch_still_point_to_the_users_line(capsys: pytest.CaptureFixture[str]) -> None:
    with tensorcheck.watch(nn.Linear(4, 1)), pytest.warns(UserWarning, match="target size") as caught:
        functional.mse_loss(torch.zeros(8, 1), torch.zeros(8))
    assert [warning.filename for warning in caught] == [__file__]
    capsys.readouterr()


def test_tracebacks_hold_no_frame_of_ours() -> None:
    model = Net()
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model):
        functional.cross_entropy(model(torch.zeros(8, 1, 8, 8)), torch.zeros(8))
    text = "".join(traceback.format_tb(caught.value.__traceback__))
    assert "tensorcheck" not in text.replace("test_untouched", "").replace(os.getcwd(), "")  # noqa: PTH109
    assert "in cross_entropy" in text


def test_another_threads_training_is_not_heard() -> None:
    def train_elsewhere() -> None:
        with warnings.catch_warnings(action="ignore"):
            functional.mse_loss(torch.zeros(8, 1), torch.zeros(8))

    with tensorcheck.watch(nn.Linear(4, 1)) as watch:
        thread = threading.Thread(target=train_elsewhere)
        thread.start()
        thread.join()
    assert not watch.findings


def test_a_forked_child_has_none_of_our_patches() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model), warnings.catch_warnings(action="ignore"):
        child = os.fork()
        if child == 0:
            hooks = len(optimizers._global_optimizer_pre_hooks)
            os._exit(0 if PATCHES.is_empty() and not hooks and "forward" in repr(nn.Linear.forward) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not PATCHES.is_empty()


def test_stdout_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model), warnings.catch_warnings(action="ignore"):
        functional.mse_loss(model(torch.zeros(8, 4)), torch.zeros(8))
    assert capsys.readouterr().out == ""
    assert "tensorcheck" in sys.modules


def test_a_checkpoint_that_ends_its_repeated_forward_early_is_no_crash() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    with tensorcheck.watch(model) as watch:
        rows = torch.zeros(2, 4).requires_grad_()
        checkpoint(model, rows * 3, use_reentrant=False).sum().backward()
    assert watch.findings == ()
    assert watch.report.record.coverage.experiments == ()

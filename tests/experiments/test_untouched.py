"""Law 1, for experiments: whatever a trial does, nothing of the user's has changed after it."""

import contextlib
import gc
import logging
import random
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode

import tensorcheck
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.observe.patches import PATCHES
from tests.experiments.crashing import outcome_of, unchanged

HISTORY: list[int] = []
STEPS = 0
WIDER = Fix("nn.Linear(5, 2)", (ChangeSetting("in_features", 5),))
ROWS = torch.rand(6, 5)


class Net(nn.Module):
    """Everything that a forward may leave behind, and then a crash."""

    calls = 0
    seen: list[int] = []  # noqa: RUF012 - that is the point

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.tied = nn.Linear(5, 5)
        self.again = self.tied
        self.drop = nn.Dropout(0.5)
        self.lstm = nn.LSTM(5, 5)
        self.cached = torch.zeros(5)
        self.count = nn.Buffer(torch.zeros(()))
        self.head = nn.Linear(4, 2)

    def forward(self, rows: Tensor) -> Tensor:
        global STEPS  # noqa: PLW0603 - likewise
        STEPS += 1
        HISTORY.append(STEPS)
        type(self).calls += 1
        self.seen.append(1)
        self.count.add_(1)
        self.cached.add_(1)
        print("forward")  # noqa: T201 - likewise
        logging.getLogger("net").warning("forward")
        random.random()  # noqa: S311 - no secret
        np.random.rand()  # noqa: NPY002 - the global state is what is compared
        rows = self.drop(self.again(self.tied(self.norm(rows))))
        hidden: Tensor = self.lstm(rows)[0]
        logits: Tensor = self.head(hidden)
        return logits


def state(model: Net) -> tuple[object, ...]:
    return (
        [(name, tensor.tolist(), tensor.requires_grad, tensor._version) for name, tensor in model.state_dict().items()],
        [None if each.grad is None else each.grad.tolist() for each in model.parameters()],
        [each.requires_grad for each in model.parameters()],
        (model.cached.tolist(), model.calls, list(model.seen), list(HISTORY), STEPS, model.training),
        (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()),  # type: ignore[index]  # noqa: NPY002
        (torch.is_grad_enabled(), torch.is_autocast_cache_enabled(), logging.root.manager.disable, ROWS.tolist()),
        ([*_get_current_function_mode_stack()], PATCHES.is_empty()),
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def crashed(model: nn.Module, rows: Tensor = ROWS) -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        model(rows)
    return caught.value


def test_nothing_changes_but_the_answer(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    model = Net()
    model.tied(ROWS).sum().backward()
    error = crashed(model)
    capfd.readouterr()
    caplog.clear()

    with unchanged(lambda: state(model)):
        report = tensorcheck.explain(error)

    assert [finding.tried for finding in report.findings] == ["the forward passes"]
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_hooks_and_modes_of_the_user_do_not_hear_of_it() -> None:
    heard: list[object] = []

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(func)
            return func(*args, **(kwargs or {}))

    class Dispatches(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]  # of torch

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(func)
            return func(*args, **(kwargs or {}))

    def heard_tensor(tensor: Tensor) -> Tensor:
        heard.append(tensor)
        return tensor

    model = Net()
    model.head.register_forward_hook(lambda *_: heard.append("hook"))
    model.register_forward_pre_hook(lambda *_: heard.append("hook"))
    error = crashed(model)
    with Functions(), Dispatches(), torch.autograd.graph.saved_tensors_hooks(heard_tensor, heard_tensor):
        tensorcheck.explain(error, experiments=False)
        heard.clear()
        tensorcheck.explain(error, experiments=False)
        without = len(heard)
        heard.clear()
        report = tensorcheck.explain(error)
        assert len(heard) == without
        assert len(_get_current_function_mode_stack()) == 1
    assert report.findings[0].tried == "the forward passes"


def test_a_hook_on_all_modules_leaves_nothing_to_try() -> None:
    model = Net()
    handle = register_module_forward_hook(lambda *_: None)
    try:
        outcome = outcome_of(lambda: model(ROWS), WIDER)
    finally:
        handle.remove()
    assert (outcome.tried, outcome.skipped) == ("", ["a hook on all modules would hear of it"])


def test_our_own_sessions_do_not_hear_of_it() -> None:
    model, other = Net(), nn.Linear(5, 5)
    with tensorcheck.watch(model) as first, tensorcheck.watch(other) as second:
        crashed(model)
        operations = len(first.trace.operations)
        assert [finding.tried for finding in first.findings] == ["the forward passes"]
        assert not second.findings
        other(ROWS)
        assert len(first.trace.operations) == operations + 1
    assert PATCHES.is_empty()


def test_weights_that_the_forward_writes_to_are_not_written_to() -> None:
    class Clamps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(5, 5), nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            self.first.weight.data.mul_(0.5)
            logits: Tensor = self.head(self.first(rows))
            return logits

    model = Clamps()
    with pytest.raises(RuntimeError) as caught:
        model(ROWS)
    with unchanged(model.first.weight.tolist):
        tried = tensorcheck.explain(caught.value).findings[0].tried
    assert tried == "the forward passes on the meta device", "where there are no weights to be written to"


def test_tensors_of_the_user_that_are_reached_by_a_closure_are_not_written_to() -> None:
    total = torch.zeros(5)

    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            total.add_(rows.sum(0))
            logits: Tensor = self.head(rows)
            return logits

    error = crashed(Sums())
    with unchanged(total.tolist):
        tensorcheck.explain(error)


class Locked(Net):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_a_model_that_cannot_be_copied_is_skipped() -> None:
    outcome = outcome_of(lambda: Locked()(ROWS), WIDER, certain="help")
    assert (outcome.help, outcome.tried) == ("help", "")
    assert outcome.skipped[0].startswith("the model can't be copied: TypeError: cannot pickle")


def test_coverage_says_what_could_not_be_tried() -> None:
    report = tensorcheck.explain(crashed(Locked()))
    assert report.record.coverage.skipped[0].what == "fix-trials"


def test_a_forward_that_exits_on_another_path_does_not_exit() -> None:
    class Exits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            self.head(rows)
            raise SystemExit

    assert not outcome_of(lambda: Exits()(ROWS), WIDER).tried


def test_an_interrupt_passes() -> None:
    class Interrupts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            self.head(rows)
            raise KeyboardInterrupt

    model = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        outcome_of(lambda: model(ROWS), WIDER)
    with unchanged(lambda: [*_get_current_function_mode_stack()]):
        pass


def test_a_model_that_takes_too_long_is_given_up() -> None:
    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            for _ in range(10**5):
                with contextlib.suppress(Exception):
                    rows = rows + 1
            logits: Tensor = self.head(rows)
            return logits

    outcome = outcome_of(lambda: Slow()(ROWS), WIDER)
    assert (outcome.tried, outcome.skipped) == ("", ["there was not enough time"])


def test_no_tensor_is_kept() -> None:
    def crash() -> list[weakref.ref[Any]]:
        model, rows = Net(), torch.rand(6, 5)
        with contextlib.suppress(RuntimeError), tensorcheck.watch(model):
            model(rows)
        return [weakref.ref(model), weakref.ref(rows)]

    kept = crash()
    gc.collect()
    assert [each() for each in kept] == [None, None]

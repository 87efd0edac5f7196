"""`tensorcheck.preflight`: one training step on the meta device, before it costs anything."""

import inspect
import linecache
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from tensorcheck.devices.scope import META, really_on
from tensorcheck.devices.simulating import simulate_device
from tensorcheck.experiment.copies import CannotCopyError, Copier, Place
from tensorcheck.experiment.given_parts import Given, given_of
from tensorcheck.experiment.memory import MemoryCount
from tensorcheck.experiment.specified import without_values
from tensorcheck.experiment.strict_meta import OnMeta, StrictMeta, ValueNeededError, WithoutValues
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.frames import Owner, Sites, frames_of, owner_of
from tensorcheck.observe.stood_for import standing_for, storage_number
from tensorcheck.observe.undisturbed import RandomState
from tensorcheck.options import Options
from tensorcheck.preflights import Preflight
from tensorcheck.record import Skipped
from tensorcheck.report import Report
from tensorcheck.session import Session
from tensorcheck.watching import Watch, settings_here

LossFunction = Callable[[Any, Any], Tensor]
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]

_SECONDS_TO_COPY = 120.0


def preflight(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    optimizer: Optimizer | MakeOptimizer | None = None,
    device: str | torch.device | None = None,
) -> Report:
    """Make one training step of a copy that has no values, and report what is wrong with it and what it takes.

    Forward, loss, backward and optimizer step run on the meta device, made as strict as the CPU: nothing is allocated,
    nothing of the model, of the optimizer or of the data is changed, and 70 billion parameters take seconds. The
    batch is a tensor, a pair `(inputs, target)`, a dictionary of arguments of `forward`, or a DataLoader of these, of
    which the first batch is taken; `TensorSpec("batch 3 h=224 w=224")` stands for a tensor that there is not. Without a
    loss function a loss is used that the model itself returns (as `.loss`, `["loss"]` or a tensor of one element). The
    optimizer is one that was built for this model, or a class of them.

    With a device, such as `cuda`, which need not be there, the model and the batch are moved to it, and what else the
    step uses has to be there too; without one devices play no part.

    A model whose `forward` can't take the batch raises a `ValueError`. What depends on values (`.item()`, an `if` on a
    tensor) ends the check there, and the report says where.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3136, 10))
    >>> report = preflight(model, (torch.zeros(32, 1, 28, 28), torch.zeros(32)), nn.CrossEntropyLoss())
    >>> print(report.findings[0].headline)
    `1` (Linear) got 784 features but was built for 3136
    """
    place = _accelerator(device)
    given = given_of(model, without_values(batch), has_loss=loss_fn is not None)
    state = RandomState.now()
    try:
        step = _Step.copied(model, given, loss_fn)
        with _devices(place):
            return step.prepared(optimizer, place).make()
    except CannotCopyError as error:
        return _not_made(str(error))
    finally:
        state.restore()


def _accelerator(device: str | torch.device | None) -> torch.device | None:
    """The device, if it is one of those that a tensor can be left behind of."""
    wanted = torch.device(device) if device is not None else None
    return None if wanted is None or wanted.type in ("cpu", "meta") else wanted


@contextmanager
def _devices(device: torch.device | None) -> Iterator[None]:
    """Within, this device is there, if only in name."""
    if device is None:
        yield
        return
    with simulate_device(device.type, (device.index or 0) + 1), really_on(META):
        yield


class _Step:
    """A step of copies on the meta device."""

    def __init__(
        self,
        model: nn.Module,
        given: Given,
        loss_fn: LossFunction | None,
        copier: Copier,
        numbers: dict[int, Tensor],
    ) -> None:
        self._model = model
        self._given = given
        self._loss_fn = loss_fn
        self._copier = copier
        self._numbers = numbers
        self._optimizer: Optimizer | None = None
        self._passed: list[str] = []
        self._failure = self._stop = ""
        self.is_placed = False
        """Whether devices play a part."""

    @classmethod
    def copied(cls, model: nn.Module, given: Given, loss_fn: LossFunction | None) -> "_Step":
        """A step of copies of these; raises a `CannotCopyError`."""
        copier = Copier(Place.META, None, time.monotonic() + _SECONDS_TO_COPY)
        twin = copier.model(model)
        loss = copier.model(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
        parts = [given.args, given.kwargs, given.target]
        args, kwargs, target = copied = copier.inputs(parts)
        numbers = dict(_whole_numbers(parts, copied))
        return cls(twin, replace(given, args=args, kwargs=kwargs, target=target), loss, copier, numbers)

    def prepared(self, optimizer: Optimizer | MakeOptimizer | None, device: torch.device | None) -> "_Step":
        """Ready to be made: with its optimizer, and on its device; raises a `CannotCopyError`."""
        if isinstance(optimizer, Optimizer):
            self._optimizer = self._copier.optimizer(optimizer)
        if device is not None:
            self._move(device)
        if self._optimizer is None and optimizer is not None:
            trained = [each for each in self._model.parameters() if each.requires_grad]
            self._optimizer = optimizer(trained) if trained else None  # type: ignore[operator]  # a class of them
        return self

    def _move(self, device: torch.device) -> None:
        self.is_placed = True
        self._model.to(device)
        before = [self._given.args, self._given.kwargs, self._given.target]
        args, kwargs, target = after = tree_map(lambda part: _moved(part, device), before)
        for (_, here), (_, there) in zip(leaves(before, ""), leaves(after, ""), strict=True):
            known = self._numbers.get(storage_number(here))
            if known is not None:
                self._numbers[storage_number(there)] = known
        self._given = replace(self._given, args=args, kwargs=kwargs, target=target)

    def make(self) -> Report:
        """Make it, watched."""
        options = Options(on_finding=lambda _finding: None, experiments=False, settings=settings_here())
        with ExitStack() as stack:
            watch = stack.enter_context(Watch(Session([self._model], options), [self._model]))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # the findings say it
            stack.enter_context(standing_for(self._numbers))
            count = stack.enter_context(MemoryCount())
            with suppress(ValueNeededError):
                self._run(watch)
            shapes, memory = watch.shapes(), count.of(self._model, self._optimizer)
        parameters = list(self._model.parameters())
        learned = Preflight(
            shapes=shapes,
            parameters=sum(each.numel() for each in parameters),
            trainable=sum(each.numel() for each in parameters if each.requires_grad),
            memory=memory,
            passed=tuple(self._passed),
            failure=self._failure,
            stop=self._stop,
        )
        record = watch.report.record
        coverage = replace(record.coverage, cost=None)  # all of the time was ours
        return Report(replace(record, coverage=coverage, preflight=learned))

    def _run(self, watch: Watch) -> None:
        try:
            with StrictMeta():
                with WithoutValues() if self.is_placed else OnMeta():
                    loss = self._forward()
                if loss is None:
                    return
                loss.backward()
                self._passed.append("backward")
                if self._optimizer is not None:
                    _step(self._optimizer)
                    self._passed.append("optimizer step")
        except ValueNeededError as error:
            self._stop = _where(error)
        except Exception as error:  # noqa: BLE001 - whatever the user's own code raises
            watch.explain(error)
            self._failure = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"

    def _forward(self) -> Tensor | None:
        outputs = _LINES["forward"](self._model, self._given.args, self._given.kwargs)
        self._passed.append("forward")
        if self._loss_fn is None:
            return _own_loss(outputs)
        loss: Tensor = _LINES["loss"](self._loss_fn, outputs, self._given.target)
        self._passed.append("loss")
        return loss


_SOURCE = """\
def forward(model, inputs, batch):
    return model(*inputs, **batch)

def loss(loss_fn, outputs, target):
    return loss_fn(outputs, target)
"""
"""The two calls as a user writes them: what fails in one of them is shown in these lines, by these names."""


def _lines() -> dict[str, Callable[..., Any]]:
    name = "<preflight>"
    linecache.cache[name] = (len(_SOURCE), None, _SOURCE.splitlines(keepends=True), name)
    found: dict[str, Callable[..., Any]] = {}
    exec(compile(_SOURCE, name, "exec"), found)  # noqa: S102 - our own lines
    return found


_LINES = _lines()


def _moved(part: Any, device: torch.device) -> Any:  # noqa: ANN401 - a part of a batch
    return part.to(device) if isinstance(part, Tensor) else part


def _step(optimizer: Optimizer) -> None:
    name = f"{type(optimizer).__name__}.step"
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:  # it decides by the loss that this returns
        raise ValueNeededError(name)
    try:
        optimizer.step()
    except ValueNeededError:
        raise ValueNeededError(name) from None


def _own_loss(outputs: Any) -> Tensor | None:  # noqa: ANN401 - whatever a model returns
    """The loss that a model itself returns, if it does."""
    found = outputs.get("loss") if isinstance(outputs, dict) else getattr(outputs, "loss", outputs)
    return found if isinstance(found, Tensor) and found.numel() == 1 and found.requires_grad else None


def _whole_numbers(parts: object, copied: object) -> Iterator[tuple[int, Tensor]]:
    """What is known of the values of a batch: those of its indices and classes, by the storage of their copies."""
    for (_, original), (_, twin) in zip(leaves(parts, ""), leaves(copied, ""), strict=True):
        is_whole = not (original.is_floating_point() or original.is_complex() or original.dtype is torch.bool)
        if is_whole and original.device.type == "cpu" and original.layout is torch.strided:
            yield storage_number(twin), original.detach()


def _where(error: ValueNeededError) -> str:
    users = [
        (frame.f_code, instruction)
        for frame, instruction in frames_of(error.__traceback__)
        if owner_of(frame.f_code.co_filename) is Owner.USER
    ]
    if not users:
        return f"it stopped, for {error} needs a value"
    site = Sites().at(*users[-1])
    return f"it stopped at {site}: `{site.code}` needs a value"


def _not_made(why: str) -> Report:
    """The report of a step that could not be copied."""
    watch = Watch(Session((), Options(on_finding=lambda _finding: None, experiments=False)), ())
    watch.close()
    record = watch.report.record
    skipped = (Skipped("preflight", why),)
    learned = Preflight(stop=f"no step was made: {why}")
    return Report(replace(record, coverage=replace(record.coverage, skipped=skipped), preflight=learned))

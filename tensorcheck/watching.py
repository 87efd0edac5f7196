"""`tensorcheck.watch`: what people put around their loop."""

import os
import sys
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import tensorcheck
from tensorcheck.breakpoints import BREAKPOINTS
from tensorcheck.broadcasting import BroadcastTable, broadcasts
from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.casting import CastTable, casts
from tensorcheck.catalogue import with_rules
from tensorcheck.comparing.recorded import RecordedRun
from tensorcheck.configuration import checked_budget, read_settings
from tensorcheck.findings import Finding, Severity
from tensorcheck.lineage import Step
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.environment import environment
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.lineages import lineage_of_argument
from tensorcheck.observe.modules import shape_rows
from tensorcheck.options import OnFinding, Options
from tensorcheck.record import Record
from tensorcheck.report import Report
from tensorcheck.session import Session
from tensorcheck.settings import Settings
from tensorcheck.shapes import ShapeTable
from tensorcheck.specs.spec import TensorSpec
from tensorcheck.steps import StepSeen, step_seen
from tensorcheck.trace import Origin, Provenance, Trace, Value

SWITCH = "TENSORCHECK"
"""The environment variable that switches everything off where it is 0."""


def watch(  # noqa: PLR0913 - each may be left out
    *targets: nn.Module | DataLoader[Any],
    optimizer: Optimizer | Sequence[Optimizer] = (),
    loader: DataLoader[Any] | Sequence[DataLoader[Any]] = (),
    on_finding: OnFinding | None = None,
    raise_on: Literal["info", "warning", "error"] | None = None,
    experiments: bool = True,
    budget: float | None = None,
    capsule: bool | str | os.PathLike[str] = False,
    fingerprint: bool = False,
    specs: Mapping[str, TensorSpec | str] | None = None,
) -> "Watch":
    """Watch models, and what their training loop does with them, in place and until `close` or the end of a `with`.

    Optimizers, schedulers, losses and DataLoaders are found by themselves; where the process has others that are not
    to be watched, name those that are with `optimizer` and `loader`. An error or a warning is printed to stderr
    when it is first found; `on_finding` is called with it instead. With `raise_on`, a finding at least that severe
    raises `FindingError` where it was found. A mistake that raises an exception of its own is explained in a note on
    that exception, and the change that the note proposes is tried on a copy of the model first. After the first step a
    copy is asked, with at most four samples, whether the answer for one depends on another. With `experiments` False
    neither is done: what the model's own code writes to a file is written again. After three steps the cost no longer
    depends on the size of the model.

    With `budget`, such as 0.01, all that watching costs is held to that share of the time: what is more than to listen
    to the model and its steps is done once, and again when enough time has gone by. The report says what was left out,
    and with or without a budget what it cost.

    With `capsule`, the first crash or error of each kind is written to a file that `tensorcheck replay` repeats it
    from: True for a file in the working directory, else a folder or the file.

    With `fingerprint`, the values of each tensor of the traced steps leave a fingerprint in what `watch.recorded.save`
    writes, which `tensorcheck diff` compares; such a step takes several times as long.

    With `specs`, batches and modules are held to what is declared of them, in every step: `{"batch.0": "batch 1 28 28",
    "encoder": "batch 64", "head.input": TensorSpec("batch 64", dtype=torch.float32)}`. `batch.1` and `batch.image` are
    fields of what a DataLoader hands out, `encoder` is what that module returns, `encoder.input` what it is given, and
    `output.logits` a part of what the model returns. A name is one size within a step. What breaks it is an error,
    with the samples of the batch.

    Which rules are wanted is read from `[tool.tensorcheck]` of the nearest pyproject.toml; a `SettingsError` says what
    in it can't be meant. With `TENSORCHECK=0` in the environment nothing is watched.

    >>> import torch
    >>> model = torch.nn.Linear(4, 1)
    >>> with watch(model) as watching:
    ...     _ = model(torch.zeros(8, 4))
    >>> watching.findings
    ()
    """
    for target in targets:
        _refuse_wrong_type(target)
    if not targets:
        msg = "watch() takes at least one nn.Module or DataLoader"
        raise TypeError(msg)
    models = [target for target in targets if isinstance(target, nn.Module)]
    severity = None if raise_on is None else Severity(raise_on)
    loaders = [loader] if isinstance(loader, DataLoader) else list(loader)
    settings = settings_here()
    options = Options(
        optimizers=[optimizer] if isinstance(optimizer, Optimizer) else list(optimizer),
        loaders=loaders + [target for target in targets if isinstance(target, DataLoader)],
        on_finding=on_finding or print_finding,
        raise_on=severity,
        experiments=experiments,
        settings=settings if budget is None else replace(settings, budget=checked_budget(budget)),
        capsule=_wish(wanted=capsule, is_told=on_finding is None),
        fingerprint=fingerprint,
        specs=_checked_specs(specs or {}, models),
        declared=Sites().here() if specs else None,
    )
    return Watch(Session(models, options), targets)


def _checked_specs(
    specs: Mapping[str, TensorSpec | str], models: Sequence[nn.Module]
) -> Mapping[str, TensorSpec | str]:
    """The specs, each of which can be read and is of something that there is."""
    if specs:
        from tensorcheck.observe.declared_specs import declared_specs  # noqa: PLC0415 - seldom wanted

        declared_specs(specs, models[0] if models else None)
    return specs


def _wish(*, wanted: bool | str | os.PathLike[str], is_told: bool) -> CapsuleWish | None:
    if wanted is False:
        return None

    def tell(words: str) -> None:
        if is_told:
            sys.stderr.write(f"tensorcheck: {words}\n")

    return CapsuleWish.at(Path.cwd() if wanted is True else Path(wanted), tell=tell)


def settings_here() -> Settings:
    """What the project around the working directory wants."""
    try:
        return read_settings(Path.cwd())
    except FileNotFoundError:  # the working directory was deleted
        return Settings()


def watch_process(  # noqa: PLR0913 - each may be left out
    on_finding: OnFinding,
    *,
    settings: Settings | None = None,
    most_steps: int | None = None,
    capsule: CapsuleWish | None = None,
    fingerprint: bool = False,
    asks_copies: bool = True,
    earlier_optimizers: Collection[Optimizer] | None = None,
) -> "Watch":
    """Watch every model of this process that is trained or called from now on, as the command `run` does.

    With `most_steps`, a `SystemExit` ends the program after so many training steps. Where the optimizers that were
    built before are not given, they are looked for among all objects, which takes tens of milliseconds.
    """
    wanted = settings_here() if settings is None else settings
    options = Options(
        on_finding=on_finding,
        finds_models=True,
        most_steps=most_steps,
        settings=wanted,
        capsule=capsule,
        fingerprint=fingerprint,
        asks_copies=asks_copies,
        earlier_optimizers=earlier_optimizers,
    )
    return Watch(Session((), options), ())


def _refuse_wrong_type(target: object) -> None:
    if isinstance(target, nn.Module | DataLoader):
        return
    hint = ""
    if isinstance(target, Optimizer):
        hint = "; name it as optimizer=, or leave it out: optimizers are found by themselves"
    elif isinstance(target, type) and issubclass(target, nn.Module):
        hint = f"; make an instance first: watch({target.__name__}(...))"
    msg = f"watch() takes nn.Modules and DataLoaders, not {type(target).__name__}{hint}"
    raise TypeError(msg)


def print_finding(finding: Finding, file: TextIO | None = None) -> None:
    """Print a finding to stderr, or to another file, styled where that is a terminal.

    What the debugger is about to show is left to it.
    """
    if BREAKPOINTS.wants(finding):
        return
    from rich.console import Console  # noqa: PLC0415 - a healthy run never needs it

    from tensorcheck.render.text import WIDTH, render_finding  # noqa: PLC0415 - likewise

    console = Console(stderr=file is None, file=file, soft_wrap=True)
    console.print(
        render_finding(finding, width=min(console.width, WIDTH) if console.is_terminal else WIDTH), end="\n\n"
    )


class Watch:
    """A running session, and after `close` its result.

    While it is open, this handle keeps the models alive; the session behind it, which goes on where the handle was
    dropped, does not.

    >>> import torch
    >>> model = torch.nn.Linear(4, 1)
    >>> watching = watch(model)
    >>> watching(torch.zeros(8, 4)).shape
    torch.Size([8, 1])
    >>> watching.close()
    """

    def __init__(self, session: Session, targets: Sequence[nn.Module | DataLoader[Any]]) -> None:
        self._session = session
        self._targets = tuple(targets)
        self._command = " ".join(sys.orig_argv[1:])
        self._is_on = os.environ.get(SWITCH) != "0"
        if not self._is_on:
            return
        session.open()
        for target in targets:
            weakref.finalize(target, _close_when_unused, session).atexit = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far, in the order in which it was found."""
        return self._session.findings()

    @property
    def report(self) -> Report:
        """Everything known so far; print it, or `save` it as .txt, .json, .html, .md or .sarif."""
        record = Record(
            version=tensorcheck.__version__,
            command=self._command,
            environment=environment(),
            findings=self._session.findings(),
            coverage=self._session.coverage(),
        )
        return Report(with_rules(record))

    @property
    def trace(self) -> Trace:
        """The operations of the last traced step; empty where none was traced. Print it, or walk it."""
        return self._session.tracing.trace(self._session.sites)

    @property
    def recorded(self) -> RecordedRun:
        """The traced steps that are kept, at most eight: `save` them, and `tensorcheck diff` compares two such files.

        >>> import torch
        >>> with watch(torch.nn.Linear(4, 1), fingerprint=True) as watching:
        ...     out = watching(torch.ones(8, 4))
        >>> watching.recorded.steps[0].values[0].fingerprint.text
        'rms 1, mean 1, from 1 to 1'
        """
        return RecordedRun(
            version=tensorcheck.__version__,
            command=self._command,
            environment=environment(),
            steps=self._session.tracing.traces(self._session.sites),
        )

    def where(self, tensor: Tensor) -> Provenance:
        """Where a tensor came from; print it, or walk it.

        The way through the operations is read from the last traced step, and the way through the source from the
        calling frame. A `LookupError` says that neither knows the tensor.

        >>> import torch
        >>> model = torch.nn.Linear(4, 1)
        >>> with watch(model) as watching:
        ...     print(watching.where(model(torch.zeros(8, 4))).source)
        float32[8, 4] cpu
        """
        trace, tracing = self.trace, self._session.tracing
        lineage = lineage_of_argument(trace)
        place = tracing.recorder.place_of(tensor)
        if place is not None:
            return Provenance(trace, place, lineage)
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            origin, name = tracing.find(tensor)
            held = Value(tensor_meta(tensor), origin=origin, name=name)
        if origin is Origin.UNKNOWN and not any(step.step is not Step.SPELLED for step in lineage.ancestors):
            msg = "the trace does not know this tensor: it was made in another step, or while nothing was traced"
            raise LookupError(msg)
        return Provenance(replace(trace, values=(*trace.values, held)), len(trace.values), lineage)

    def shapes(self) -> ShapeTable:
        """What each module was given and returned in the last traced call, and whether gradients reached it.

        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 1))
        >>> with watch(model) as watching:
        ...     _ = model(torch.zeros(8, 4))
        >>> print(watching.shapes())
        module  kind    input              output                   parameters  gradient
        0       Linear  float32[8, 4] cpu  float32[8, 1] cpu, grad           5  no
        """
        return ShapeTable(tuple(row for subject in self._session.subjects for row in shape_rows(subject)))

    def explain(self, error: BaseException) -> None:
        """Add what is known of an exception to it as a note, once, and to the findings."""
        if self._is_on:
            self._session.crashed("elsewhere", error)

    def broadcasts(self) -> BroadcastTable:
        """Every operation of the last traced step that brought operands of unequal shapes to one; print it, or walk it.

        >>> import torch
        >>> with watch(torch.nn.Linear(4, 1)) as watching:
        ...     centred = watching(torch.zeros(8, 4)) - torch.zeros(8)
        >>> [row.result for row in watching.broadcasts().rows]
        [(8, 8)]
        """
        return broadcasts(self.trace)

    def casts(self) -> CastTable:
        """Every operand of the last traced step that was promoted to another dtype; print it, or walk it.

        >>> import torch
        >>> with watch(torch.nn.Linear(4, 1)) as watching:
        ...     scaled = watching(torch.zeros(8, 4)) * torch.ones(8, 1, dtype=torch.float64)
        >>> [str(row.operand.meta) + " -> " + row.dtype for row in watching.casts().rows]
        ['float32[8, 1] cpu, grad -> float64']
        """
        return casts(self.trace)

    def step(self, step: int) -> StepSeen:
        """What was seen of this optimizer step, counted from 0: its operations, its losses, what was first found in it.

        The first three steps are traced, and some later ones in which something new was seen; the last eight of these
        are kept. A `LookupError` says that nothing was seen of this step, and which were traced.

        >>> import torch
        >>> with watch(torch.nn.Linear(4, 1)) as watching:
        ...     out = watching(torch.zeros(8, 4))
        >>> watching.step(0).trace.operations[-1].name
        'linear'
        """
        return step_seen(step, self._session.tracing.traces(self._session.sites), self.findings)

    def close(self) -> None:
        """Stop watching; may be called again. Findings and report stay."""
        self._session.close()
        self._targets = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.explain(error)
        self.close()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the model's own types
        """Call the watched model."""
        model = next((target for target in self._targets if isinstance(target, nn.Module)), None)
        if model is None:
            msg = "there is no watched model to call: the watch is closed, or only a DataLoader is watched"
            raise TypeError(msg)
        return model(*args, **kwargs)

    def __repr__(self) -> str:
        kinds = ", ".join(subject.kind for subject in self._session.subjects) or "DataLoaders"
        return f"<tensorcheck.watch of {kinds}: {len(self.findings)} findings>"


def _close_when_unused(session: Session) -> None:
    if all(subject.model() is None for subject in session.subjects):
        session.close()

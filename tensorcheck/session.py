"""A session: joins what observes, what knows and what shows, for as long as something is watched."""

import threading
import traceback
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from tensorcheck.catalogue import all_rules
from tensorcheck.events import Crashed, Event, ForwardFinished, ProbeFailed, Stage
from tensorcheck.experiment.trials import NAME as FIX_TRIALS
from tensorcheck.experiment.trials import FixTrials, answered
from tensorcheck.findings import Finding, Findings, Severity
from tensorcheck.judge import Judge
from tensorcheck.observe.crashes import RunSoFar, crash_of
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.patches import Listener
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.probes import all_probes
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.tracing import Tracing
from tensorcheck.record import Coverage, Skipped
from tensorcheck.render.text import finding_text

_EXPLAINED_BY = "__tensorcheck_explained_by__"
"""The attribute of an exception that holds the ids of the sessions that explained it; the first adds its notes."""

OnFinding = Callable[[Finding], object]


class FindingError(RuntimeError):
    """A finding as bad as `raise_on` asked for; `finding` is the finding itself."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding_text(finding))
        self.finding = finding


class Session:
    """Owns the probes, the rules and the findings; it is the sink that probes emit into."""

    def __init__(  # noqa: PLR0913 - what `watch` takes
        self,
        models: Sequence[nn.Module],
        *,
        optimizers: Sequence[Optimizer] = (),
        loaders: Sequence[DataLoader[Any]] = (),
        on_finding: OnFinding,
        raise_on: Severity | None = None,
        experiments: bool = True,
    ) -> None:
        self.sites = Sites()
        self._skipped: dict[Skipped, None] = {}
        self.subjects = [subject for model in models for subject in self._subject_of(model)]
        self.tracing = Tracing(self.subjects, lambda error: self.fault("operations", error))
        watched: list[Subject] | list[None] = self.subjects or [None]
        self._judges = {subject: Judge(all_rules()) for subject in watched}
        self._findings = Findings()
        self._unhandled: list[Finding] = []
        """Found in an exception that may yet be handled: a script that goes on training had meant to catch it."""
        self._handled: set[str] = set()
        """The fingerprints of those that the script did handle."""
        self._known: dict[Hashable, tuple[str, ...]] = {}
        self._seen: set[type[Event]] = set()
        self._wanted = frozenset(event for rule in all_rules() for event in rule.events)
        self.backwards = 0
        """How many times `backward` has returned so far."""
        self.drawn = DrawnIndices()
        """What the samplers gave last, for loaders with workers."""
        self._optimizers = weakref.WeakSet(optimizers)
        self._loaders = weakref.WeakSet(loaders)
        self._names_optimizers = bool(optimizers)
        self._names_loaders = bool(loaders)
        self._on_finding = on_finding
        self._raise_on = raise_on
        self._asked_for: Exception | None = None
        """What `raise_on` or the user's own `on_finding` raised: the one exception of ours that is let through."""
        self._threads = {threading.get_ident()}
        self._probes: dict[Probe, ExitStack] = {}
        self._experiments = experiments
        self._experiments_made: dict[str, None] = {}

    def _subject_of(self, model: nn.Module) -> Iterator[Subject]:
        try:
            yield Subject(model)
        except Exception as error:  # noqa: BLE001 - an odd model is no reason to stop its training
            self.skip(type(model).__name__, f"its parts can't be listed: {_words(error)}")

    def open(self) -> None:
        """Attach every probe that some rule needs; one that can't be attached is skipped, and coverage says so."""
        for probe in all_probes(self):
            if not probe.emits or probe.emits & self._wanted:
                self._probes[probe] = ExitStack()
                try:
                    probe.attach(self._probes[probe])
                except Exception as error:  # noqa: BLE001 - an odd model is no reason to stop its training
                    self.fault(probe, error)

    def close(self) -> None:
        """Leave nothing behind; may be called again."""
        while self._probes:
            _, handles = self._probes.popitem()
            handles.close()

    @property
    def step(self) -> int:
        """Optimizer steps taken so far."""
        return max((subject.step for subject in self.subjects), default=0)

    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        together = Findings()
        for finding in (*self._findings, *self._unhandled):
            together.adopt(finding)
        return tuple(together)

    def coverage(self) -> Coverage:
        """What was seen so far, and what was not."""
        return Coverage(
            models=len(self.subjects),
            steps=self.step,
            traced=max((subject.traced for subject in self.subjects), default=0),
            experiments=tuple(self._experiments_made),
            skipped=(*self._skipped, *self._unseen()),
        )

    def _unseen(self) -> Iterator[Skipped]:
        if self.subjects and ForwardFinished not in self._seen:
            yield Skipped("forward", "no watched model returned from a call")
        if self.subjects and not self.step:
            yield Skipped("training", "no optimizer that holds a parameter of a watched model stepped")

    def hears_this_thread(self) -> bool:
        """Whether what happens on the running thread belongs to this session."""
        return threading.get_ident() in self._threads

    def count_backward(self) -> None:
        """`backward` returned once more."""
        self.backwards += 1
        if self._unhandled:
            self._forget_handled()

    def wants(self, event: type[Event]) -> bool:
        """Whether any rule subscribes to this class of event."""
        return event in self._wanted

    def skip(self, what: str, why: str) -> None:
        """Something is not looked at: coverage says so."""
        self._skipped[Skipped(what, why)] = None

    def wants_optimizer(self, optimizer: Optimizer) -> bool:
        """Whether this optimizer is watched: each is, unless some were named."""
        return not self._names_optimizers or optimizer in self._optimizers

    def wants_dataset(self, dataset: object) -> bool:
        """Whether the loaders of this dataset are watched: each is, unless some were named."""
        return not self._names_loaders or any(loader.dataset is dataset for loader in self._loaders)

    def adopt_this_thread(self) -> None:
        """From now on, what happens on the running thread belongs to this session."""
        self._threads.add(threading.get_ident())

    def is_known(self, signature: Hashable) -> bool:
        """Whether an event of this signature was judged before; what was found then is counted once more."""
        fingerprints = self._known.get(signature)
        for fingerprint in fingerprints or ():
            self._findings.repeat(fingerprint, step=self.step)
        return fingerprints is not None

    def emit(self, event: Event, subject: Subject | None = None, *, signature: Hashable = None) -> bool:
        """Judge an event by the rules of one model, or of all; True if something was found.

        What was found is remembered under the signature.
        """
        self._seen.add(type(event))
        found = self._judged(event, subject)
        if signature is not None:
            self._known[signature] = tuple(found)
        for finding in found.values():
            if self._findings.add(finding, step=event.step):
                if not isinstance(event, ProbeFailed):
                    self.tracing.rearm_next_step()
                self._announce(finding)
        return bool(found)

    def _judged(self, event: Event, subject: Subject | None) -> dict[str, Finding]:
        """What the rules say, each finding once even if the rules of several models make it."""
        judges = [self._judges[subject]] if subject is not None else self._judges.values()
        return {finding.fingerprint: finding for judge in judges for finding in judge.judge(event)}

    def _announce(self, finding: Finding) -> None:
        try:
            self._tell(finding)
        except Exception as error:
            self._asked_for = error
            raise

    def _tell(self, finding: Finding) -> None:
        if finding.severity > Severity.INFO:
            self._on_finding(finding)
        if self._raise_on is not None and finding.severity >= self._raise_on:
            raise FindingError(finding)

    def crashed(self, stage: Stage, error: BaseException) -> None:
        """Explain an exception that is on its way to the user, once; it stays the same object and gains a note."""
        if not isinstance(error, Exception) or error is self._asked_for or _is_of_torch_alone(error):
            return
        if self._is_explained(error):
            return
        try:
            crash = crash_of(error, stage, self.sites, self._so_far())
            self._explain(crash, error)
            for read in crash.faults:
                self.emit(ProbeFailed(self.step, read.part, read.traceback))
        except Exception as fault:  # noqa: BLE001 - the user's own exception is never replaced
            self.fault("crash explanation", fault)

    def _so_far(self) -> RunSoFar:
        return RunSoFar(
            subjects=self.subjects,
            find_cut=self.tracing.cut_before,
            trace=self.tracing.trace_under_way(self.sites),
            drawn=self.drawn,
            recorder=self.tracing.recorder,
        )

    def _explain(self, crash: Crashed, error: Exception) -> None:
        by = vars(error).setdefault(_EXPLAINED_BY, set())
        is_told = bool(by)
        by.add(id(self))
        for finding in self._tried(tuple(self._judged(crash, None).values()), crash, error):
            if finding.fingerprint not in self._handled:
                self._unhandled.append(finding)
            if not is_told:
                error.add_note(f"\n{finding_text(finding)}")

    def _tried(self, findings: Sequence[Finding], crash: Crashed, error: Exception) -> Sequence[Finding]:
        """The findings, with the help that passed on a copy."""
        if not self._experiments:
            return findings
        trials = FixTrials(error, crash, self.skip)
        try:
            answers = tuple(trials.answers(findings))
        except Exception as fault:  # noqa: BLE001 - the findings do not need it
            self._experiments = False
            self.fault(FIX_TRIALS, fault)
            return findings
        if trials.were_made:
            self._experiments_made[FIX_TRIALS] = None
        for answer in answers:
            self.emit(answer)
        return [answered(finding, answers) for finding in findings]

    def _is_explained(self, error: Exception) -> bool:
        return id(self) in vars(error).get(_EXPLAINED_BY, ())

    def _forget_handled(self) -> None:
        for finding in self._unhandled:
            self._handled.add(finding.fingerprint)
            self.skip(f"{finding.rule}: {finding.headline}", "the script handled the exception")
        self._unhandled.clear()

    def fault(self, part: object, error: Exception) -> None:
        """Switch off what raised for the rest of the run, and report it."""
        if error is self._asked_for:
            raise error
        name = part if isinstance(part, str) else type(part).__name__
        if isinstance(part, Listener):
            part.is_off = True
        self.skip(name, f"it raised {_words(error)}")
        self.emit(ProbeFailed(self.step, name, "".join(traceback.format_exception(error))))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_of_torch_alone(error: Exception) -> bool:
    """Whether PyTorch raised it to find its own way, as checkpointing does to end a forward pass that it repeats."""
    kind = type(error)
    return kind.__name__.startswith("_") and kind.__module__.startswith("torch.")

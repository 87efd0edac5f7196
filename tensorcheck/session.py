"""A session: joins what observes, what knows and what shows, for as long as something is watched."""

import threading
import traceback
import weakref
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import nn
from torch.optim import Optimizer

from tensorcheck.breakpoints import BREAKPOINTS
from tensorcheck.capturing.keeping import keeper_of
from tensorcheck.catalogue import entries
from tensorcheck.events.crash import Crashed, Stage
from tensorcheck.events.event import Event
from tensorcheck.events.forward import ForwardFinished
from tensorcheck.events.internal import ProbeFailed
from tensorcheck.findings import Finding, Findings, Severity
from tensorcheck.judge import Judge
from tensorcheck.observe.birth_places import birth_place
from tensorcheck.observe.child_processes import ChildProcessProbe
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.freeze_places import FreezePlaces
from tensorcheck.observe.model_finder import ModelFinder
from tensorcheck.observe.models import ModelProbe
from tensorcheck.observe.own_time import OWN_TIME, Budget, timed
from tensorcheck.observe.passes import Passes
from tensorcheck.observe.patches import Listener
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.probes import all_probes
from tensorcheck.observe.run_so_far import RunSoFar
from tensorcheck.observe.scopes import Place
from tensorcheck.observe.step_limit import StepLimit
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.tracing import Tracing
from tensorcheck.options import Options
from tensorcheck.record import Coverage, Skipped
from tensorcheck.render.sentences import plural
from tensorcheck.render.text import finding_text
from tensorcheck.sites import Site

_EXPLAINED_BY = "__tensorcheck_explained_by__"
"""The attribute of an exception that holds the ids of the sessions that explained it; the first adds its notes."""


class FindingError(RuntimeError):
    """A finding as bad as `raise_on` asked for; `finding` is the finding itself."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding_text(finding))
        self.finding = finding


class Session:
    """Owns the probes, the rules and the findings; it is the sink that probes emit into."""

    def __init__(self, models: Sequence[nn.Module], options: Options) -> None:
        self.budget = Budget(options.settings.budget)
        """What this session may take of the run's time."""
        self._rules = tuple(entry for entry in entries() if options.settings.selects(entry.code))
        self.sites = Sites()
        self._skipped: dict[Skipped, None] = {}
        self.subjects = [subject for model in models for subject in self._subject_of(model)]
        self.tracing = Tracing(
            self.subjects,
            lambda error: self.fault("operations", error),
            self.budget,
            fingerprint=options.fingerprint,
        )
        watched: list[Subject] | list[None] = self.subjects or [None]
        self._judges: dict[Subject | None, Judge] = {subject: Judge(self._rules) for subject in watched}
        self._findings = Findings()
        self._unhandled: list[Finding] = []
        """Found in an exception that may yet be handled: a script that goes on training had meant to catch it."""
        self._handled: set[str] = set()
        """The fingerprints of those that the script did handle."""
        self._known: dict[Hashable, tuple[str, ...]] = {}
        self._known_to_all: set[Hashable] = set()
        """Those of these that concerned no one model: another model's rules have not judged them."""
        self._seen: set[type[Event]] = set()
        self._wanted = frozenset(event for rule in self._rules for event in rule.events)
        self._listened = self._wanted.union(*(event.needs for event in self._wanted))
        """Those too without whose probes a wanted one could not be seen."""
        self.backwards = 0
        """How many times `backward` has returned so far."""
        self.differentiations = 0
        """How many times `backward` or `autograd.grad` has returned so far."""
        self.drawn = DrawnIndices()
        """What the samplers gave last, for loaders with workers."""
        self.passes = Passes(self.sites)
        """The passes over DataLoaders that are under way."""
        self._optimizers = weakref.WeakSet(options.optimizers)
        self._loaders = weakref.WeakSet(options.loaders)
        self._names_optimizers, self._names_loaders = bool(options.optimizers), bool(options.loaders)
        self._options = replace(options, optimizers=(), loaders=())
        self._experiments = options.experiments
        self.finder = ModelFinder(self) if options.finds_models else None
        self._children = ChildProcessProbe(self)
        self._freezings = FreezePlaces(self)
        self._adopted: dict[Subject, ModelProbe] = {}
        self._questions: dict[Subject, Probe] = {}
        self._past = Coverage()
        """What was seen of models that were adopted and are gone."""
        self._asked_for: Exception | None = None
        """What `raise_on` or the user's own `on_finding` raised: the one exception of ours that is let through."""
        self._threads = {threading.get_ident()}
        self._probes: dict[Probe, ExitStack] = {}
        self._experiments_made: dict[str, None] = {}
        self._keeper = keeper_of(options.capsule, self.skip)

    def _subject_of(self, model: nn.Module) -> Iterator[Subject]:
        try:
            yield Subject(model)
        except Exception as error:  # noqa: BLE001 - an odd model is no reason to stop its training
            self.skip(type(model).__name__, f"its parts can't be listed: {_words(error)}")

    @timed
    def open(self) -> None:
        """Attach every probe that some rule needs; one that can't be attached is skipped, and coverage says so."""
        if self._options.most_steps is not None:
            self._attach(StepLimit(self, self._options.most_steps))
        if self.finder is not None:
            self._attach(self.finder)
            self._attach(self._children)
            self._attach(self._freezings)
        for probe in all_probes(self):
            self._attach(probe)
        if self._options.specs:
            self._attach_declared()
        for subject in self.subjects:
            self._attach_questions(subject)

    def _attach_declared(self) -> None:
        """Hold batches and modules to what is declared of them."""
        from tensorcheck.observe.declared_specs import DeclaredSpecProbe, declared_specs  # noqa: PLC0415 - seldom wanted

        model = self.subjects[0].model() if self.subjects else None
        declared = declared_specs(self._options.specs, model)
        self._attach(DeclaredSpecProbe(self, model, declared, self._options.declared))

    def _attach_questions(self, subject: Subject) -> None:
        """Let a copy of a model be asked what can't be seen."""
        if self._options.experiments and self._options.asks_copies:
            from tensorcheck.experiment.questions import QuestionProbe  # noqa: PLC0415 - it may be turned off

            self._questions[subject] = QuestionProbe(self, subject)
            self._attach(self._questions[subject])

    def _attach(self, probe: Probe) -> None:
        if probe.emits and not probe.emits & self._listened:
            return
        self._probes[probe] = ExitStack()
        try:
            probe.attach(self._probes[probe])
        except Exception as error:  # noqa: BLE001 - an odd model is no reason to stop its training
            self.fault(probe, error)

    def adopt(self, model: nn.Module) -> None:
        """Watch one more model, from now until nobody holds it any more."""
        for subject in self._subject_of(model):
            self._let_go(subject)
            self.subjects.append(subject)
            self._judges.pop(None, None)
            self._judges[subject] = Judge(self._rules)
            for signature in self._known_to_all:
                self._known.pop(signature, None)
            self._known_to_all.clear()
            for probe in tuple(self._probes):
                probe.model_adopted()
            self._adopted[subject] = ModelProbe(self, subject)
            self._attach(self._adopted[subject])
            self._attach_questions(subject)
            self._freezings.tell(subject)

    def found(self, optimizer: Optimizer) -> None:
        """An optimizer was built, or holds more or fewer parameters: its models may be wanted."""
        if self.finder is not None:
            self.finder.adopt_models_of(optimizer)

    def _let_go(self, whole: Subject) -> None:
        """Forget the adopted models that nobody holds any more, and those that were called before they became parts."""
        for subject, probe in tuple(self._adopted.items()):
            model = subject.model()
            is_part = model is not None and not subject.step and whole.path_of(model) is not None
            if model is not None and not is_part:
                continue
            del self._adopted[subject]
            self._probes.pop(probe, ExitStack()).close()
            if subject in self._questions:
                self._probes.pop(self._questions.pop(subject), ExitStack()).close()
            self.subjects.remove(subject)
            self._past = replace(
                self._past,
                models=self._past.models + (not is_part),
                steps=max(self._past.steps, subject.step),
                traced=max(self._past.traced, subject.traced),
            )

    def close(self) -> None:
        """Leave nothing behind; may be called again."""
        with ExitStack() as every:  # closes them all, also where one raises what `raise_on` asks for
            every.callback(self.budget.end)
            every.enter_context(OWN_TIME.running())
            for handles in self._probes.values():
                every.push(handles)
            self._probes.clear()

    @property
    def earlier_optimizers(self) -> Collection[Optimizer] | None:
        """The optimizers that were built before the session began; None where that is not known."""
        return self._options.earlier_optimizers

    @property
    def awaits_models(self) -> bool:
        """Whether models are yet to be found."""
        return self.finder is not None and not self.subjects

    @property
    def step(self) -> int:
        """Optimizer steps taken so far."""
        return max((subject.step for subject in self.subjects), default=self._past.steps)

    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        together = Findings()
        for finding in (*self._findings, *self._unhandled):
            together.adopt(finding)
        return tuple(together)

    def coverage(self) -> Coverage:
        """What was seen so far, and what was not."""
        return Coverage(
            models=self._past.models + len(self.subjects),
            steps=max(self._past.steps, self.step),
            traced=max([self._past.traced, *(subject.traced for subject in self.subjects)]),
            experiments=tuple(self._experiments_made),
            skipped=(*self._skipped, *self._unseen()),
            cost=self.budget.cost() if max(self.step, self._past.steps) else None,
        )

    def _unseen(self) -> Iterator[Skipped]:
        if self._children.started:
            children = plural(self._children.started, "child process", "child processes")
            yield Skipped(children, "only the process that was started first is watched")
        if self.subjects and ForwardFinished not in self._seen:
            yield Skipped("forward", "no watched model returned from a call")
        for what, times in self.budget.left_out.items():
            if times:
                yield Skipped(
                    plural(times, what), f"the budget of {100 * (self.budget.share or 0):g}% of the time was used up"
                )
        if self.subjects and not max(self.step, self._past.steps):
            yield Skipped("training", "no optimizer that holds a parameter of a watched model stepped")

    def hears_this_thread(self) -> bool:
        """Whether what happens on the running thread belongs to this session."""
        return self._options.finds_models or threading.get_ident() in self._threads

    def count_backward(self) -> None:
        """`backward` returned once more."""
        self.backwards += 1
        self.differentiations += 1
        if self._unhandled:
            self._forget_handled()

    def count_differentiation(self) -> None:
        """`autograd.grad` returned once more."""
        self.differentiations += 1

    def wants(self, event: type[Event]) -> bool:
        """Whether any rule subscribes to this class of event."""
        return event in self._wanted

    def experimented(self, name: str) -> None:
        """An experiment was made: coverage says so."""
        self._experiments_made[name] = None

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
            if subject is None and self.finder is not None:
                self._known_to_all.add(signature)
        for finding in found.values():
            if self._findings.add(finding, step=event.step):
                if not isinstance(event, ProbeFailed):
                    self.tracing.rearm_next_step()
                    self._keeper.keep_finding(finding)
                self._announce(finding)
        return bool(found)

    def _judged(self, event: Event, subject: Subject | None) -> dict[str, Finding]:
        """What the rules say, each finding once even if the rules of several models make it."""
        judges = [self._judges[subject]] if subject is not None else self._judges.values()
        judged = (self._options.settings.judged(finding) for judge in judges for finding in judge.judge(event))
        return {finding.fingerprint: finding for finding in judged if finding is not None}

    def _announce(self, finding: Finding) -> None:
        try:
            self._tell(finding)
        except Exception as error:
            self._asked_for = error
            raise

    def _tell(self, finding: Finding) -> None:
        if finding.severity > Severity.INFO:
            self._options.on_finding(finding)
        self._stop(finding)
        if self._options.raise_on is not None and finding.severity >= self._options.raise_on:
            raise FindingError(finding)

    def _stop(self, finding: Finding, error: Exception | None = None) -> None:
        """Stop in the debugger, if `breakpoint_on` asked for it; what is typed there is no operation of the step."""
        if BREAKPOINTS.wants(finding):
            self.tracing.suspend()
            try:
                with OWN_TIME.waiting(), torch._C._EnableTorchFunction():  # noqa: SLF001 - some probes have it off while they emit
                    BREAKPOINTS.stop(finding, error)
            finally:
                self.tracing.resume()

    def crashed(self, stage: Stage, error: BaseException) -> None:
        """Explain an exception that is on its way to the user, once; it stays the same object and gains a note."""
        if not isinstance(error, Exception) or error is self._asked_for or _is_of_torch_alone(error):
            return
        if isinstance(error, RecursionError):  # no rule knows one, and no stack is left to read hundreds of frames
            return
        if self._is_explained(error):
            return
        try:
            from tensorcheck.observe.crashes import crash_of  # noqa: PLC0415 - most runs do not crash

            crash = crash_of(error, stage, self.sites, self._so_far())
            self._explain(crash, error)
            for read in crash.faults:
                self.emit(ProbeFailed(self.step, read.part, read.traceback))
        except RecursionError:  # the stack is used up: further out there is room
            vars(error).get(_EXPLAINED_BY, set()).discard(id(self))
        except Exception as fault:  # noqa: BLE001 - the user's own exception is never replaced
            self.fault("crash explanation", fault)

    def _so_far(self) -> RunSoFar:
        for subject in self._adopted:
            self._freezings.tell(subject)
        return RunSoFar(
            subjects=self.subjects,
            find_cut=self.tracing.cut_before,
            trace=self.tracing.trace_under_way(self.sites),
            drawn=self.drawn,
            recorder=self.tracing.recorder,
            built=self.built,
            born=self._born,
        )

    def _born(self, module: nn.Module) -> Place | None:
        return birth_place(self.finder.births.calls_of(module)) if self.finder is not None else None

    def built(self, module: nn.Module) -> Site | None:
        """The call that built a module, if that was heard."""
        return self.finder.births.site_of(module, self.sites) if self.finder is not None else None

    def _explain(self, crash: Crashed, error: Exception) -> None:
        by = vars(error).setdefault(_EXPLAINED_BY, set())
        is_told = bool(by)
        by.add(id(self))
        findings = self._tried(tuple(self._judged(crash, None).values()), crash, error)
        capsule = self._keeper.keep_crash(error, crash, findings)
        for finding in findings:
            if finding.fingerprint not in self._handled:
                self._unhandled.append(finding)
            if not is_told:
                error.add_note(f"\n{finding_text(finding)}")
                self._stop(finding, error)
        if capsule:
            error.add_note(capsule)

    def _tried(self, findings: Sequence[Finding], crash: Crashed, error: Exception) -> Sequence[Finding]:
        """The findings, with the help that passed on a copy."""
        if not self._experiments:
            return findings
        from tensorcheck.experiment.trials import NAME, FixTrials, answered  # noqa: PLC0415 - a run without a crash

        trials = FixTrials(error, crash, self.skip)
        try:
            answers = tuple(trials.answers(findings))
        except Exception as fault:  # noqa: BLE001 - the findings do not need it
            self._experiments = False
            self.fault(NAME, fault)
            return findings
        if trials.were_made:
            self._experiments_made[NAME] = None
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
        self._keeper.forget_crashes()

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

"""Passes over DataLoaders: which one is under way, and what models did with its batches."""

import ast
import weakref
from collections import Counter
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.observe.frames import Sites, expression_at, tree_of, user_frame
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.uncalled import uncalled
from tensorcheck.sites import Site

_DROPOUT = nn.modules.dropout._DropoutNd  # noqa: SLF001 - the base of them all
_NORM = nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - likewise


class Evaluation:
    """Calls of a model without gradients and in training mode."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.calls = 1
        self.layers: tuple[str, ...] = ()
        """The classes of its layers that acted as in training; none where that was asked for."""
        self.site: Site | None = None
        self.uncalled: Site | None = None
        """A statement that names `eval` and does not call it."""
        self.is_result_used = True


class Pass:
    """One pass over a DataLoader, from its first batch to its end; it holds neither loader nor data."""

    def __init__(self, iterator: Any, backwards: int) -> None:  # noqa: ANN401 - a private class of torch
        self.sampler = weakly(iterator._index_sampler)  # noqa: SLF001 - a loader can't be reached from its iterator, and each has its own
        self.dataset = weakly(iterator._dataset)  # noqa: SLF001 - likewise
        self.backwards = backwards
        """How often `backward` had returned when it began."""
        self.batches = 0
        self.evaluated: Counter[Subject] = Counter()
        """How often each model was called without gradients."""
        self.in_train_mode: dict[Subject, Evaluation] = {}


class Passes:
    """The passes of a session; a pass within another, as an evaluation in the middle of an epoch, has its own."""

    def __init__(self, sites: Sites) -> None:
        self.current: Pass | None = None
        """The one that gave the last batch; None once it is over."""
        self.beside: Evaluation | None = None
        """The last call without gradients and in training mode, if it was on no batch and not on a training input."""
        self._sites = sites
        self._running: weakref.WeakKeyDictionary[Any, Pass] = weakref.WeakKeyDictionary()
        self._have_run = False

    def batch(self, iterator: Any, backwards: int) -> Pass:  # noqa: ANN401 - likewise
        """A loader's iterator gave a batch."""
        known = self._running.get(iterator)
        if known is None:
            known = self._running[iterator] = Pass(iterator, backwards)
        known.batches += 1
        self.current, self._have_run = known, True
        return known

    def over(self, iterator: Any) -> Pass | None:  # noqa: ANN401 - likewise
        """A loader's iterator has come to its end."""
        self.current = None
        return self._running.pop(iterator, None)

    def called(self, subject: Subject, args: tuple[Any, ...], *, is_training: bool) -> None:
        """A model returned; of its arguments the first tells an input that it is trained on from others."""
        given = args[0] if args and type(args[0]) is Tensor else None
        self.beside = None
        if torch.is_grad_enabled():
            subject.trained_on = weakref.ref(given) if given is not None and is_training else subject.trained_on
            return
        if self.current is not None:
            self.current.evaluated[subject] += 1
        if is_training and subject.step:
            self._in_train_mode(subject, given)

    def _in_train_mode(self, subject: Subject, given: Tensor | None) -> None:
        over = self.current
        known = over.in_train_mode.get(subject) if over is not None else None
        if known is not None:
            known.calls += 1
        elif over is not None:
            over.in_train_mode[subject] = self._evaluation(subject)
        elif not self._have_run and given is not None and not _is_trained_on(given, subject):
            self.beside = self._evaluation(subject)

    def _evaluation(self, subject: Subject) -> Evaluation:
        made, model, frame = Evaluation(subject), subject.model(), user_frame()
        if model is None or frame is None or subject.set_to_train_at == subject.step:
            return made
        made.layers = active_layers(model)
        if made.layers:
            made.site = self._sites.at(frame.f_code, frame.f_lasti)
            made.uncalled = uncalled("eval", model)
            made.is_result_used = not _is_statement(frame)
        return made


def _is_statement(frame: FrameType) -> bool:
    """Whether a frame stands in an expression whose value nobody uses."""
    node = expression_at(frame.f_code, frame.f_lasti)
    tree = tree_of(frame.f_code.co_filename) or ast.Module([], [])
    return any(isinstance(each, ast.Expr) and each.value is node for each in ast.walk(tree))


def _is_trained_on(given: Tensor, subject: Subject) -> bool:
    return subject.trained_on is not None and subject.trained_on() is given


def weakly(thing: object) -> weakref.ref[Any]:
    """A weak reference, which is dead from the start for what can't have one, such as a list."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return _DEAD


_DEAD: weakref.ref[Any] = weakref.ref(type("_Gone", (), {})())


def active_layers(model: nn.Module) -> tuple[str, ...]:
    """The classes of a model's layers that act as in training now, and would act otherwise in evaluation."""
    kinds = (type(module).__name__ for module in model.modules() if module.training and _has_modes(module))
    return tuple(dict.fromkeys(kinds))


def _has_modes(module: nn.Module) -> bool:
    if isinstance(module, _DROPOUT):
        return module.p > 0
    return isinstance(module, _NORM) and module.track_running_stats

"""Comparing two runs: their common steps one after the other, each in the order of its operations."""

from collections.abc import Iterator, Mapping, Sequence

from tensorcheck.comparing.comparison import Comparison, SettingsChange
from tensorcheck.comparing.matching import shortened
from tensorcheck.comparing.recorded import RecordedRun, plain_settings
from tensorcheck.comparing.steps import ComparedStep, Limits
from tensorcheck.comparing.tolerances import Rounding
from tensorcheck.modules import ModuleMeta
from tensorcheck.trace import Trace


class NothingInCommonError(ValueError):
    """The runs have no step in common; the message says which steps they have."""


def compare(left: RecordedRun, right: RecordedRun, limits: Limits | None = None) -> Comparison:
    """Compare two runs, by the tolerances that follow from their dtypes or by those that were asked for.

    >>> run = RecordedRun(steps=(Trace(0),))
    >>> compare(run, run).is_same()
    True
    """
    ours, theirs = _by_step(left), _by_step(right)
    common = [step for step in ours if step in theirs]
    if not common:
        msg = f"they have no step in common: of the one {_told(ours)} traced, of the other {_told(theirs)}"
        raise NothingInCommonError(msg)
    carried: Mapping[str, Rounding] = {}
    compared = []
    for step in common:
        one = ComparedStep(ours[step], theirs[step], limits or Limits(), carried)
        carried = one.carried()
        compared.append(one)
    return Comparison(
        steps=tuple(common),
        only_left=tuple(step for step in ours if step not in theirs),
        only_right=tuple(step for step in theirs if step not in ours),
        operations=sum(one.operations for one in compared),
        values=sum(one.values for one in compared),
        gradients=sum(one.gradients for one in compared),
        is_fingerprinted=left.is_fingerprinted and right.is_fingerprinted,
        partings=tuple(parting for one in compared for parting in one.partings),
        unmatched=tuple(each for one in compared for each in one.unmatched),
        renames=tuple(dict.fromkeys(rename for one in compared for rename in shortened(one.renames))),
        settings=tuple(dict.fromkeys(change for one in compared for change in _settings(one))),
        widest=max((one.widest for one in compared if one.widest), key=lambda each: each.relative, default=None),
        undecided=sum(one.undecided for one in compared),
        environments=tuple(_environments(left, right)),
    )


def _by_step(run: RecordedRun) -> dict[int, Trace]:
    return {trace.step: trace for trace in run.steps}


def _told(steps: Mapping[int, Trace]) -> str:
    return f"{'step' if len(steps) == 1 else 'steps'} {', '.join(map(str, steps))} was" if steps else "no step was"


def _settings(compared: ComparedStep) -> Iterator[SettingsChange]:
    known = {module.path: module for module in compared.right.modules}
    for module in compared.left.modules:
        other = known.get(compared.renamed(module.path))
        if other is not None and (change := _change(module, other)) is not None:
            yield change


def _change(left: ModuleMeta, right: ModuleMeta) -> SettingsChange | None:
    ours, theirs = plain_settings(left.settings), plain_settings(right.settings)
    names = [name for name in {**ours, **theirs} if ours.get(name, ...) != theirs.get(name, ...)]
    one, two = _spelled(ours, names), _spelled(theirs, names)
    if left.kind != right.kind:
        one, two = f"{left.kind}({one})", f"{right.kind}({two})"
    return SettingsChange(right.path, right.kind, one, two) if one != two else None


def _spelled(settings: Mapping[str, object], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" for name in names if name in settings)


def _environments(left: RecordedRun, right: RecordedRun) -> Iterator[str]:
    for what, one, two in (
        ("PyTorch", left.environment.torch, right.environment.torch),
        ("Python", left.environment.python, right.environment.python),
    ):
        if one != two:
            yield f"{what} {one or 'unknown'} and {two or 'unknown'}"

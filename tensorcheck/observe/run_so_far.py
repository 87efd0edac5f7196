"""What a session knows of the run that crashed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.scopes import Place
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace

FindCut = Callable[[Sequence[object], Sites], Operation | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSoFar:
    """What a session knows of the run that crashed; where nothing was watched, nothing."""

    subjects: Sequence[Subject] = ()
    find_cut: FindCut = lambda _inputs, _sites: None
    """Says where a tensor lost its gradient, if that was traced."""
    trace: Trace | None = None
    drawn: DrawnIndices | None = None
    recorder: Recorder | None = None
    built: Callable[[nn.Module], Site | None] = lambda _module: None
    """Says which call built a module, if that was heard."""
    born: Callable[[nn.Module], Place | None] = lambda _module: None
    """The same call, as a place in the source."""

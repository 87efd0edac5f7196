"""What a loop calls in its first steps, written down call by call. No value of a gradient is read."""

from dataclasses import replace
from types import CodeType

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed, StepNotCalled
from tensorcheck.events.optimizer import OutsiderTrained
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.frames import user_files, user_frame
from tensorcheck.observe.gradient_looks import looked_at
from tensorcheck.observe.gradient_requests import idle_request
from tensorcheck.observe.graph_reach import GraphReach, reach_of
from tensorcheck.observe.met_optimizers import Met, MetOptimizers
from tensorcheck.observe.outsiders import Outsiders
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.uncalled import uncalled

STEPS = 16
"""So many steps of all optimizers together are followed."""
_CALLS = 600
"""So many calls at most, where steps are rare or there are none."""
_WALKS = 48
"""So many backward passes have their graphs looked at."""
_BACKWARDS = 3
"""After so many backward passes without a step, the running code is searched for a `step` that is not called."""
_LOOKS = (2, 3)
"""The steps of an optimizer at which modules are looked for that get gradients and that no optimizer holds."""


class CallLog:
    """The calls, until it is full or closed and tells them all."""

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        self._sink = sink
        self._optimizers = MetOptimizers(sink, optimizers)
        self._calls: list[tuple[LoopCall, tuple[CodeType, int] | None]] = []
        self._walks = 0
        self._newest = -1
        """The number of the newest node that an earlier backward pass went through."""
        self._reach: GraphReach | None = None
        self._outsiders = Outsiders()
        self._files: tuple[str, ...] = ()
        """Those of the user's functions that were running at the first step."""
        self.steps = 0
        """How many steps were taken."""

    @property
    def is_full(self) -> bool:
        """Whether enough was seen."""
        return self.steps >= STEPS or len(self._calls) >= _CALLS

    def add(self, call: LoopCall) -> None:
        """Write down a call, made where the running stack stands."""
        frame = user_frame()
        self._calls.append((call, (frame.f_code, frame.f_lasti) if frame is not None else None))

    def backward_started(self, root: object) -> None:
        """Gradients are about to be added."""
        self.look()
        self._reach = reach_of(root) if self._walks < _WALKS else None
        self._walks += 1

    def backward_finished(self, *, retains_graph: bool) -> None:
        """Gradients were added."""
        met, reach, self._reach = self._optimizers.alive(), self._reach, None
        changed = [number for number, each in met.items() if each.looks.changed()]
        for number in changed:
            met[number].looks.is_fresh, met[number].looks.is_by_hand = True, False
        call = LoopCall(
            CallKind.BACKWARD,
            None,
            self._optimizers.nearest_first(changed, reach),
            retains_graph=retains_graph,
            reads_older_graph=None if reach is None else reach.oldest is not None and reach.oldest <= self._newest,
            reaches_others=self._optimizers.reaches_others(reach),
        )
        self._newest = max(self._newest, reach.newest) if reach is not None else self._newest
        self.add(call)
        for number in changed:
            self._look_for_step(met[number])

    def _look_for_step(self, met: Met) -> None:
        """Whether a statement of the running code names the `step` of an optimizer that never stepped."""
        met.backwards += 1
        if met.has_stepped or met.backwards != _BACKWARDS:
            return
        statement = uncalled("step", met.looks.reference())
        if statement is not None:
            here = self._sink.sites.here()
            self._sink.emit(StepNotCalled(self._sink.step, met.kind, met.backwards, statement, here))

    def look(self) -> None:
        """What changed until now is known, and no matter."""
        for each in self._optimizers.alive().values():
            each.looks.changed()

    def look_for_hands(self) -> None:
        """What changed until now was changed by hand."""
        for each in self._optimizers.alive().values():
            each.looks.is_by_hand |= each.looks.changed()

    def zeroed(self) -> None:
        """Something was zeroed: whatever was changed by it."""
        met = self._optimizers.alive()
        changed = [number for number, each in met.items() if each.looks.changed() and each.looks.is_fresh]
        for number in changed:
            met[number].looks.is_fresh = met[number].looks.is_by_hand = False
        if changed:
            self.add(LoopCall(CallKind.ZEROED, None, tuple(changed)))

    def clipped(self, given: list[Tensor] | None) -> None:
        """Gradients were clipped; of these parameters, where that is known."""
        met = self._optimizers.alive()
        numbers = [number for number, each in met.items() if each.looks.changed()]
        has_gradients = True
        if given is not None:
            ids = {id(tensor) for tensor in given}
            numbers = [number for number, each in met.items() if ids & {id(held) for held in each.looks.held()}]
            has_gradients = any(look is not None for look in looked_at(given))
        self.add(LoopCall(CallKind.CLIPPED, None, tuple(numbers), has_gradients=has_gradients))

    def step_started(self, optimizer: Optimizer, *, takes_closure: bool) -> None:
        """An optimizer is about to step."""
        found = self._optimizers.of(optimizer)
        if found is None:
            return
        number, met = found
        self._files = self._files or user_files()
        met.takes_closure |= takes_closure
        if not met.has_stepped:
            self._optimizers.first_step(optimizer, met)
        is_by_hand = met.looks.changed() or met.looks.is_by_hand
        has_gradients = met.looks.are_there and (met.looks.is_fresh or is_by_hand)
        self.add(LoopCall(CallKind.STEP, None, (number,), has_gradients=has_gradients, is_by_hand=is_by_hand))
        if has_gradients and met.is_watched and not met.takes_closure:
            self._look_for_outsiders(met)

    def _look_for_outsiders(self, met: Met) -> None:
        """At its second step and at its third, whether gradients arrive at what no optimizer holds."""
        backwards = [call for call in self._calls if call[0].kind is CallKind.BACKWARD]
        met.steps += 1
        if met.steps not in _LOOKS or not backwards or not backwards[-1][0].reaches_others:
            return
        if met.steps == _LOOKS[0]:
            self._outsiders.first_look()
            return
        place = backwards[-1][1]
        at = self._sink.sites.at(*place) if place is not None else None
        for name, gradients in self._outsiders.second_look():
            self._sink.emit(OutsiderTrained(self._sink.step, name, gradients, at, self._sink.sites.here()))

    def stepped(self) -> None:
        """It has."""
        self.look()
        self.steps += 1

    def step_skipped(self, optimizer: object) -> None:
        """A gradient scaler left a step out."""
        found = self._optimizers.of(optimizer)
        if found is not None:
            self.add(LoopCall(CallKind.STEP, None, (found[0],), is_skipped=True))

    def tell(self) -> None:
        """Say what was called."""
        calls, self._calls = self._calls, []
        optimizers = tuple(self._optimizers.facts())
        if calls:
            at = self._sink.sites.at
            placed = (replace(call, site=at(*place) if place is not None else None) for call, place in calls)
            self._sink.emit(LoopFollowed(self._sink.step, tuple(placed), optimizers, idle_request(self._files)))

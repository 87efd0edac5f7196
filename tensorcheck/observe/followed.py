"""The optimizers met in a session, and what is known of each from step to step."""

import weakref
from collections.abc import Callable, Iterator, Sequence

from torch.optim import Optimizer

from tensorcheck.observe.carried import CarriedGradient
from tensorcheck.observe.copied import SuspectedCopy
from tensorcheck.observe.forgotten import Suspected
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site

FindSubjects = Callable[[Optimizer], tuple[Subject, ...]]


class Followed:
    """One optimizer."""

    __slots__ = (
        "built",
        "carried",
        "copied",
        "forgotten",
        "has_stepped",
        "kind",
        "loads",
        "reference",
        "schedule_steps",
        "scheduler",
        "scheduler_built",
        "size",
        "stepped",
        "stepped_in",
        "steps",
        "subjects",
        "suspected",
        "was_zeroed",
        "watched",
    )

    def __init__(self, optimizer: Optimizer) -> None:
        self.reference = weakref.ref(optimizer)
        self.kind = type(optimizer).__name__
        self.carried = CarriedGradient()
        self.built: Site | None = None
        """Where it was built, if that was while something was watched."""
        self.loads = 0
        """How many loads of modules had been heard when it was built."""
        self.size = -1
        """How many parameters it held when `subjects` was last looked up."""
        self.watched = -1
        """How many models were watched then."""
        self.subjects: tuple[Subject, ...] = ()
        """The watched models that it holds parameters of."""
        self.has_stepped = False
        """Whether it stepped since it held these parameters."""
        self.scheduler = ""
        """The class of the learning-rate schedule that was built for it last."""
        self.scheduler_built: Site | None = None
        self.schedule_steps = 0
        """How often a schedule of it was stepped."""
        self.stepped: Site | None = None
        """Where the user's own code stepped it first; None where a library did."""
        self.stepped_in = ""
        """The file of that."""
        self.steps = 0
        """How often it stepped."""
        self.was_zeroed = False
        """Whether its gradients were ever zeroed."""
        self.suspected: list[tuple[Subject, Suspected]] = []
        """What its first step seemed to leave out."""
        self.forgotten: set[str] = set()
        """The parameters that were suspected already, whatever became of it."""
        self.copied = SuspectedCopy()
        """Whether another module gets the gradients that its own should have."""


class FollowedOptimizers:
    """All of them, by id, each verified by a weak reference: a third of what a WeakKeyDictionary costs."""

    def __init__(self, find_subjects: FindSubjects, watched: Sequence[Subject]) -> None:
        self._find_subjects = find_subjects
        self._watched = watched
        """The watched models, of which there may be more from step to step."""
        self._followed: dict[int, Followed] = {}

    def __iter__(self) -> Iterator[Followed]:
        return iter(self._followed.values())

    def follow(self, optimizer: Optimizer) -> Followed:
        """What is known of an optimizer, with its models looked up anew if parameters or models came or went."""
        followed = self.known(optimizer)
        size = sum([len(group["params"]) for group in optimizer.param_groups])
        if followed.size != size or followed.watched != len(self._watched):
            before = followed.subjects
            followed.subjects = self._find_subjects(optimizer)
            followed.has_stepped = followed.has_stepped and followed.size == size and followed.subjects == before
            followed.size, followed.watched = size, len(self._watched)
        return followed

    def known(self, optimizer: Optimizer) -> Followed:
        """What is known of an optimizer, which need not be built to its end."""
        followed = self._followed.get(id(optimizer))
        if followed is None or followed.reference() is not optimizer:
            followed = self._followed[id(optimizer)] = Followed(optimizer)
        return followed

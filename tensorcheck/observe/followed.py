"""The optimizers met in a session, and what is known of each from step to step."""

import weakref
from collections.abc import Callable, Iterator

from torch.optim import Optimizer

from tensorcheck.observe.carried import CarriedGradient
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site

FindSubjects = Callable[[Optimizer], tuple[Subject, ...]]


class Followed:
    """One optimizer."""

    __slots__ = ("built", "carried", "has_stepped", "reference", "size", "subjects")

    def __init__(self, optimizer: Optimizer) -> None:
        self.reference = weakref.ref(optimizer)
        self.carried = CarriedGradient()
        self.built: Site | None = None
        """Where it was built, if that was while something was watched."""
        self.size = -1
        """How many parameters it held when `subjects` was last looked up."""
        self.subjects: tuple[Subject, ...] = ()
        """The watched models that it holds parameters of."""
        self.has_stepped = False
        """Whether it stepped since it held these parameters."""


class FollowedOptimizers:
    """All of them, by id, each verified by a weak reference: a third of what a WeakKeyDictionary costs."""

    def __init__(self, find_subjects: FindSubjects) -> None:
        self._find_subjects = find_subjects
        self._followed: dict[int, Followed] = {}

    def __iter__(self) -> Iterator[Followed]:
        return iter(self._followed.values())

    def follow(self, optimizer: Optimizer) -> Followed:
        """What is known of an optimizer, with its models looked up anew if it holds more or fewer parameters."""
        followed = self.known(optimizer)
        size = sum([len(group["params"]) for group in optimizer.param_groups])
        if followed.size != size:
            followed.size, followed.has_stepped = size, False
            followed.subjects = self._find_subjects(optimizer)
        return followed

    def known(self, optimizer: Optimizer) -> Followed:
        """What is known of an optimizer, which need not be built to its end."""
        followed = self._followed.get(id(optimizer))
        if followed is None or followed.reference() is not optimizer:
            followed = self._followed[id(optimizer)] = Followed(optimizer)
        return followed

"""What can be run again after a crash.

A scene is read from the stack of the exception, and holds on to the user's objects until the trials are over.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from tensorcheck.experiment.copies import Copier, Place, Samples
from tensorcheck.fixes import Edit

Where = tuple[object, ...]


class NoSceneError(Exception):
    """Why there is nothing to run again, in words."""


class Scene:
    """A call that can be made again on copies."""

    model: nn.Module | None = None
    where: Where = ()
    """The user's expressions and the modules that were running, as far as the call made them run."""
    samples: Samples | None = None
    """What a copy takes of a batch; of a single call all is copied, for it takes no longer than it took."""

    def play(self, copier: Copier, edits: Sequence[Edit], place: Place) -> str:
        """Make the call again; what ran to its end, in words; what it raises goes to the caller."""
        raise NotImplementedError

    def where_of(self, error: BaseException) -> Where:  # noqa: ARG002 - a single call has no places in it
        """The same as `where`, of an exception that `play` raised."""
        return ()


def made_on(place: Place) -> AbstractContextManager[Any]:
    """New tensors are made where the copies are."""
    return torch.device("meta") if place is Place.META else nullcontext()

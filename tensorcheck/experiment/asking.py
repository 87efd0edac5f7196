"""Putting a question to copies of a model: each call has a copy of its own, the same random numbers and a deadline."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from tensorcheck.experiment.copies import CannotCopyError, Copier, Place
from tensorcheck.experiment.guard import ForbiddenError, Guard
from tensorcheck.experiment.isolation import isolated, obstacle
from tensorcheck.experiment.reachable import attributes_put_back, reached_beside
from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.undisturbed import TimeIsUpError

Given = tuple[Any, Any]
"""Positional and named arguments."""
_FIRST = 0.5
"""Seconds that the first call may take; after a longer one there is no time for those that follow."""
_SECONDS = 2.0


class Why:
    """Why a question has no answer."""

    NO_TIME = "there was not enough time"
    WRITES = "it writes to what a copy shares with it"
    SINGLE = "the batch has one sample"
    NOT_FIRST_IN = "what it is given does not have the samples along the first dim"
    NOT_FIRST_OUT = "what it returns does not have the samples along the first dim"
    RANDOM = "its answers differ from call to call"
    SHAPE = "the shape of its answer depends on the values"
    ODD = "what it returns has no values that could be compared"
    NO_TOKENS = "it does not return an answer for each token"


class NoAnswerError(Exception):
    """Why a question has no answer, in words."""


class Asked:
    """A model that may be called again and again, for as long as there is time; nothing of it changes."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._start = time.monotonic()
        self._calls = 0
        reason = obstacle(model)
        beside = reached_beside(model) if not reason else ""
        if reason or beside:
            raise NoAnswerError(reason or f"its code uses `{beside}`, which may remember that it was called")

    def outputs(self, given: Given) -> list[Tensor]:
        """The tensors that a copy returns in evaluation mode."""
        outputs = self.call(given)
        if any(
            type(tensor) is not Tensor or tensor.is_meta or tensor.layout is not torch.strided for tensor in outputs
        ):
            raise NoAnswerError(Why.ODD)
        return [tensor.detach() for tensor in outputs]

    def call(self, given: Given, mode: Callable[[nn.Module, Given], TorchFunctionMode] | None = None) -> list[Tensor]:
        """Call a copy, with a mode around the call; the very tensors that it returned."""
        self._calls += 1
        limit = _FIRST if self._calls == 1 else _SECONDS
        try:
            with ExitStack() as stack:
                stack.enter_context(_undisturbed(self._model, self._start + limit))
                twin = Copier(Place.OWN, None, self._start + limit).model(self._model).eval()
                given = tree_map(_cloned, given)
                args, kwargs = given
                if mode is not None:
                    stack.enter_context(mode(twin, given))
                return list(tensors_in(twin(*args, **kwargs)))
        except TimeIsUpError:
            raise NoAnswerError(Why.NO_TIME) from None
        except CannotCopyError as reason:
            raise NoAnswerError(str(reason)) from None
        except ForbiddenError:
            raise NoAnswerError(Why.WRITES) from None
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            words = f"a copy raised {type(error).__name__} when it was called with a few samples"
            raise NoAnswerError(words) from None


@contextmanager
def _undisturbed(model: nn.Module, deadline: float) -> Iterator[None]:
    with isolated(model), attributes_put_back(model), torch.no_grad(), Guard(deadline):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - the global one, which the model may use
        torch.manual_seed(0)
        yield


def _cloned(leaf: Any) -> Any:  # noqa: ANN401 - whatever a model is called with
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two calls returned tensors of the same kinds and shapes."""
    return [(tensor.shape, tensor.dtype) for tensor in one] == [(tensor.shape, tensor.dtype) for tensor in other]

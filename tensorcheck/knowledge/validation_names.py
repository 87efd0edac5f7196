"""What a name says of the data that goes through it: whether it is held out, or trained on."""

import re
from collections.abc import Sequence

_VALIDATION = frozenset({"val", "valid", "validation", "validate", "validating", "dev", "test", "holdout"})
_TRAINING = frozenset({"train", "training"})
_OF_DATA = ("dataloader", "loader", "dataset", "data", "set", "dl", "ds", "iter", "batches")
"""What is written behind such a word without anything between: `testloader`."""


def is_validation(name: str) -> bool:
    """Whether a name is that of held-out data.

    >>> [is_validation(name) for name in ("val_loader", "testloader", "train_eval_loader", "trainloader", "evaluator")]
    [True, True, False, False, False]
    """
    words = _words(name)
    return bool(words & _VALIDATION) and not words & _TRAINING


def is_used_as_validation(results: Sequence[str], functions: Sequence[str]) -> bool:
    """Whether a result or, where none says that it is of the training, the function has such a name."""
    if any(_words(name) & _TRAINING for name in results):
        return False
    function = functions[0] if functions else ""  # a test of pytest trains and evaluates as it likes
    of_function = is_validation(function) and (function == "test" or "test" not in _words(function))
    return of_function or any(map(is_validation, results))


def _words(name: str) -> frozenset[str]:
    found = re.findall(r"[a-z]+", name.lower().replace("_", " "))
    return frozenset([*found, *map(_without_ending, found)])


def _without_ending(word: str) -> str:
    """`test` of `testloader`."""
    return next((word.removesuffix(end) for end in _OF_DATA if word.endswith(end)), word)

"""The reference training loop, written to be read: `fit`, and what it is made of.

Names are imported when they are first used, for torchmetrics alone takes longer to start than all of this package.
"""

import importlib
from typing import TYPE_CHECKING

__all__ = [
    "Callback",
    "CheckpointError",
    "ClassificationReport",
    "DataError",
    "EarlyStopping",
    "Schedule",
    "TrainingError",
    "TrainingResult",
    "classification_metrics",
    "evaluate",
    "fit",
]

if TYPE_CHECKING:
    from tensorcheck.training.callbacks import Callback
    from tensorcheck.training.errors import CheckpointError, DataError, TrainingError
    from tensorcheck.training.evaluation import evaluate
    from tensorcheck.training.history import EarlyStopping
    from tensorcheck.training.loop import TrainingResult, fit
    from tensorcheck.training.metrics import ClassificationReport, classification_metrics
    from tensorcheck.training.schedules import Schedule
else:  # hidden from type checkers, which would take every misspelt name for one that is found here
    _HOMES = {
        "Callback": "callbacks",
        "CheckpointError": "errors",
        "ClassificationReport": "metrics",
        "DataError": "errors",
        "EarlyStopping": "history",
        "Schedule": "schedules",
        "TrainingError": "errors",
        "TrainingResult": "loop",
        "classification_metrics": "metrics",
        "evaluate": "evaluation",
        "fit": "loop",
    }

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Finds wrong dtypes, shapes, devices and gradients in a PyTorch training loop.

Names are imported when they are first used, so that `import tensorcheck` costs nothing and needs no torch.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "FindingError",
    "Report",
    "SpecMismatchError",
    "TensorSpec",
    "Watch",
    "__version__",
    "breakpoint_on",
    "checked",
    "explain",
    "peek",
    "preflight",
    "simulate_device",
    "strategies",
    "testing",
    "training",
    "watch",
]

if TYPE_CHECKING:
    from tensorcheck import strategies, testing, training
    from tensorcheck.breakpoints import breakpoint_on
    from tensorcheck.checking import SpecMismatchError, checked
    from tensorcheck.devices.simulating import simulate_device
    from tensorcheck.explaining import explain
    from tensorcheck.peeking import peek
    from tensorcheck.preflighting import preflight
    from tensorcheck.report import Report
    from tensorcheck.session import FindingError
    from tensorcheck.specs.spec import TensorSpec
    from tensorcheck.watching import Watch, watch
else:  # hidden from type checkers, which would take every misspelt name for one that is found here
    _HOMES = {
        "FindingError": "tensorcheck.session",
        "Report": "tensorcheck.report",
        "Watch": "tensorcheck.watching",
        "SpecMismatchError": "tensorcheck.checking",
        "TensorSpec": "tensorcheck.specs.spec",
        "breakpoint_on": "tensorcheck.breakpoints",
        "checked": "tensorcheck.checking",
        "explain": "tensorcheck.explaining",
        "load_ipython_extension": "tensorcheck.notebook",
        "peek": "tensorcheck.peeking",
        "preflight": "tensorcheck.preflighting",
        "simulate_device": "tensorcheck.devices.simulating",
        "unload_ipython_extension": "tensorcheck.notebook",
        "watch": "tensorcheck.watching",
    }

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name in __all__:
            return importlib.import_module(f"{__name__}.{name}")
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

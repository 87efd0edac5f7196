"""Assertions for the tests of a model: what its tensors are, and that it trains.

Names are imported when they are first used: most tests need a few of them.
"""

import importlib
from typing import TYPE_CHECKING

__all__ = [
    "assert_accumulation_equivalent",
    "assert_all_parameters_receive_gradients",
    "assert_batch_independent",
    "assert_causal",
    "assert_checkpoint_round_trip",
    "assert_close",
    "assert_compiles",
    "assert_contract",
    "assert_depends_on_input",
    "assert_deterministic",
    "assert_device",
    "assert_device_agnostic",
    "assert_dtype",
    "assert_eval_matches_train_shapes",
    "assert_finite",
    "assert_handles_batch_sizes",
    "assert_initial_loss",
    "assert_no_findings",
    "assert_requires_grad",
    "assert_resume_equivalent",
    "assert_shape",
    "assert_spec",
    "assert_trains",
    "dims",
]

if TYPE_CHECKING:
    from tensorcheck.testing.answers import (
        assert_batch_independent,
        assert_causal,
        assert_depends_on_input,
        assert_deterministic,
        assert_eval_matches_train_shapes,
        assert_handles_batch_sizes,
    )
    from tensorcheck.testing.checkpoints import assert_checkpoint_round_trip, assert_resume_equivalent
    from tensorcheck.testing.closeness import assert_close
    from tensorcheck.testing.compiling import assert_compiles
    from tensorcheck.testing.contracts import assert_contract
    from tensorcheck.testing.places import assert_device_agnostic, assert_no_findings
    from tensorcheck.testing.sizes import dims
    from tensorcheck.testing.tensors import (
        assert_device,
        assert_dtype,
        assert_finite,
        assert_requires_grad,
        assert_shape,
        assert_spec,
    )
    from tensorcheck.testing.training import (
        assert_accumulation_equivalent,
        assert_all_parameters_receive_gradients,
        assert_initial_loss,
        assert_trains,
    )
else:  # hidden from type checkers, which would take every misspelt name for one that is found here
    _HOMES = {
        "assert_accumulation_equivalent": "training",
        "assert_all_parameters_receive_gradients": "training",
        "assert_batch_independent": "answers",
        "assert_causal": "answers",
        "assert_checkpoint_round_trip": "checkpoints",
        "assert_close": "closeness",
        "assert_compiles": "compiling",
        "assert_contract": "contracts",
        "assert_depends_on_input": "answers",
        "assert_deterministic": "answers",
        "assert_device": "tensors",
        "assert_device_agnostic": "places",
        "assert_dtype": "tensors",
        "assert_eval_matches_train_shapes": "answers",
        "assert_finite": "tensors",
        "assert_handles_batch_sizes": "answers",
        "assert_initial_loss": "training",
        "assert_no_findings": "places",
        "assert_requires_grad": "tensors",
        "assert_resume_equivalent": "checkpoints",
        "assert_shape": "tensors",
        "assert_spec": "tensors",
        "assert_trains": "training",
        "dims": "sizes",
    }

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
            globals()[name] = found
            return found
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

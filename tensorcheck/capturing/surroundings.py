"""What a call depends on besides its arguments: random numbers, modes, threads. Nothing of it is changed."""

import platform
import random
from typing import Any

import numpy as np
import torch

from tensorcheck.capsules.contents import Surroundings
from tensorcheck.capturing.storing import Store


def surroundings(store: Store) -> Surroundings:
    """As they are now."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = _numpy_state()
    return Surroundings(
        threads=torch.get_num_threads(),
        default_dtype=str(torch.get_default_dtype()).removeprefix("torch."),
        is_grad_enabled=torch.is_grad_enabled(),
        is_inference=torch.is_inference_mode_enabled(),
        autocast=_autocast(),
        torch_rng=store.tensor(torch.get_rng_state()),
        python_rng={"tuple": [version, {"tuple": list(internal)}, gauss]},
        numpy_rng={"tuple": [name, {"tuple": [int(key) for key in keys]}, position, has_gauss, cached]},
        platform=platform.platform(),
    )


def _numpy_state() -> Any:  # noqa: ANN401 - NumPy's own
    return np.random.get_state()  # noqa: NPY002 - the global one


def _autocast() -> dict[str, str]:
    kinds = ["cpu"]
    if torch.accelerator.is_available() and (current := torch.accelerator.current_accelerator()) is not None:
        kinds.append(current.type)
    on = [kind for kind in kinds if torch.is_autocast_enabled(kind)]
    return {kind: str(torch.get_autocast_dtype(kind)).removeprefix("torch.") for kind in on}

"""What the code runs on."""

import platform

import torch

from tensorcheck.devices.scope import HERE
from tensorcheck.record import Environment


def environment() -> Environment:
    """The versions and devices of this process."""
    return Environment(torch.__version__, platform.python_version(), ("cpu", *_accelerators()))


def _accelerators() -> list[str]:
    if not torch.accelerator.is_available():
        return []
    kind = torch.accelerator.current_accelerator()
    mark = " (simulated)" if HERE.simulations else ""
    return [f"{kind}:{index}{mark}" for index in range(torch.accelerator.device_count())]

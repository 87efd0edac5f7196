"""What the code runs on."""

import platform

import torch

from tensorcheck.record import Environment


def environment() -> Environment:
    """The versions and devices of this process."""
    count = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    kind = torch.accelerator.current_accelerator()
    return Environment(
        torch.__version__, platform.python_version(), ("cpu", *(f"{kind}:{index}" for index in range(count)))
    )

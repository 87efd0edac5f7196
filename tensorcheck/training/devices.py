"""Where to compute."""

import torch

from tensorcheck.training.errors import TrainingError


def choose_device(name: str | torch.device) -> torch.device:
    """The device of this name; "auto" is the accelerator of this machine, or the CPU where there is none.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch raises AssertionError for a backend that it was built without.
        msg = f"device {str(name)!r} is not to be had here: {str(error).splitlines()[0]}"
        raise TrainingError(msg) from error
    return device

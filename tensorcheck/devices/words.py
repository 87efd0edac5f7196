"""The messages of PyTorch about devices, as the version that is running has them."""

import re

import torch

_NAMES_THE_ARGUMENT_FIRST = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) >= (2, 8)


def argument_elsewhere(argument: str, place: torch.device, common: torch.device, method: str) -> str:
    """The message of the check that is in front of most CUDA kernels."""
    start = "Expected all tensors to be on the same device, but"
    if _NAMES_THE_ARGUMENT_FIRST:
        return (
            f"{start} got {argument} is on {place}, different from other tensors on {common} "
            f"(when checking argument in method {method})"
        )
    return (
        f"{start} found at least two devices, {common} and {place}! "
        f"(when checking argument for argument {argument} in method {method})"
    )


def two_devices(common: torch.device, place: torch.device) -> str:
    """The message of what works element by element.

    >>> two_devices(torch.device("cuda:0"), torch.device("cpu"))
    'Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!'
    """
    return f"Expected all tensors to be on the same device, but found at least two devices, {common} and {place}!"


def not_for_numpy(place: torch.device) -> str:
    """What `Tensor.numpy` says.

    >>> not_for_numpy(torch.device("cuda:0"))
    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    """
    return (
        f"can't convert {place} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    )


def type_name(name: str, kind: str) -> str:
    """The old name of a tensor's type on an accelerator.

    >>> type_name("torch.FloatTensor", "cuda")
    'torch.cuda.FloatTensor'
    """
    return name.replace("torch.", f"torch.{kind}.", 1)

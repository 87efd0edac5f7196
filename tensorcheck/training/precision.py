"""Mixed precision: which operations run in 16 bits, and how gradients are kept from vanishing there."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from tensorcheck.training.choices import PRECISIONS
from tensorcheck.training.errors import TrainingError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision:
    """Autocast around the forward pass and the loss, and a gradient scaler for fp16.

    The parameters stay in float32. bf16 has float32's range and needs no scaler; with fp16 small gradients would become
    zero, so the loss is scaled up before `backward` and the gradients down again before they are clipped or used.

    >>> MixedPrecision("bf16", torch.device("cpu")).scaler.is_enabled()
    False
    """

    def __init__(self, precision: str, device: torch.device) -> None:
        if precision not in PRECISIONS:
            msg = f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}"
            raise TrainingError(msg)
        self.precision = precision
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """A context for the forward pass and the loss; `backward` runs outside of it, in the dtypes that it chose."""
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=self.precision != "fp32")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the scaled loss to `.grad`."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Let the optimizer step; False where the scaler skipped it because a gradient had overflowed."""
        before = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= before

"""Whether values may be read just now, with nobody noticing and nothing refusing."""

import torch

from tensorcheck.observe import modes


def may_read() -> bool:
    """Whether no transform, no mode of the user's and no capture is under way that would see or refuse a read."""
    return not modes.is_capturing() and may_read_outside()


def may_read_outside() -> bool:
    """Likewise where no code that was compiled before can be running: between a forward pass and its `backward`."""
    if torch._C._len_torch_dispatch_stack() or modes.is_capturing_now():  # noqa: SLF001 - a user's mode must not see us
        return False
    if torch._C._functorch.peek_interpreter_stack() is not None:  # noqa: SLF001 - `vmap` has no values to read
        return False
    return not (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())

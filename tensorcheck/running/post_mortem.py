"""The debugger at the frame of the user's where an exception was raised."""

import builtins
import pdb  # noqa: T100 - the debugger is what was asked for
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorcheck.watching import Watch

NAME = "tc"
"""What the session is called at the debugger's prompt."""


def post_mortem(error: BaseException, watch: "Watch | None") -> None:
    """Open `pdb` where the user's own code stood when it raised; `tc` is the session.

    The prompt stands at the innermost frame that the user wrote; `down` leads into PyTorch.
    """
    if error.__traceback__ is None:
        return
    if "torch" not in sys.modules:
        pdb.post_mortem(error.__traceback__)
        return
    from tensorcheck.debugger import Debugger  # noqa: PLC0415 - a program without PyTorch stays so

    setattr(builtins, NAME, watch)
    try:
        Debugger(f"`{NAME}` is the session").look_back(None, error.__traceback__)
    finally:
        delattr(builtins, NAME)

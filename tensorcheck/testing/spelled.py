"""How a test spells what it asserts something of."""

import ast
import os
import sys
from types import FrameType

from tensorcheck.observe.frames import expression_at

_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - compared with the names of code objects


def spelled_argument(position: int = 0, name: str = "") -> str:
    """The source of an argument of the assertion that is running; `value` where it can't be read.

    >>> spelled_argument()
    'value'
    """
    frame = caller()
    node = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
    if not isinstance(node, ast.Call):
        return "value"
    by_name = [word.value for word in node.keywords if word.arg == name]
    by_position = [] if any(isinstance(argument, ast.Starred) for argument in node.args) else node.args
    found = by_name[0] if by_name else by_position[position] if position < len(by_position) else None
    return _short(ast.unparse(found)) if found is not None else "value"


def caller() -> FrameType | None:
    """The innermost frame outside of this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= 60 else f"{line[:57]}..."  # noqa: PLR2004 - what is left of a line is for what it is

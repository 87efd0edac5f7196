"""A call of the user's, written again with one plain argument changed."""

from tensorcheck.calls import Setting
from tensorcheck.sites import Site


def with_argument(call: Site | None, setting: Setting | None, name: str, text: str) -> str:
    """The call's own code with another value for an argument, or with one more; the argument alone if that is unknown.

    >>> call = Site("train.py", 4, 1, 20, code="torch.cat(xs, dim=1)")
    >>> with_argument(call, Setting("dim", 1, Site("train.py", 4, 19, 20, code="1")), "dim", "0")
    'torch.cat(xs, dim=0)'
    >>> with_argument(call, None, "out", "total")
    'torch.cat(xs, dim=1, out=total)'
    """
    spelled = setting.site if setting is not None else None
    if call is None or not call.code.endswith(")"):
        return f"{name}={text}"
    if spelled is None:
        return f"{call.code.removesuffix(')')}, {name}={text})"
    start = spelled.column - call.column
    end = start + len(spelled.code)
    is_there = spelled.line == call.line and call.code[start:end] == spelled.code
    return f"{call.code[:start]}{text}{call.code[end:]}" if is_there else f"{name}={text}"

"""How a reader is told which parameters are meant."""

from collections.abc import Mapping, Sequence


def listed_parameters(names: Sequence[str], kinds: Mapping[str, str], most: int = 4) -> str:
    """Dotted paths of parameters, the first of each module whose path is a number with that module's class.

    >>> listed_parameters(["0.weight", "0.bias", "head.weight"], {"0": "Linear", "head": "Linear"})
    '`0.weight` (Linear), `0.bias`, `head.weight`'
    """
    shown: list[str] = []
    seen: set[str] = set()
    for name in names[:most]:
        path = name.rpartition(".")[0]
        kind = kinds.get(path, "") if path.rpartition(".")[2].isdigit() and path not in seen else ""
        shown.append(f"`{name}` ({kind})" if kind else f"`{name}`")
        seen.add(path)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(shown)}{more}"

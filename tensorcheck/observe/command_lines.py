"""Where the default of an option of the command line was written, for `argparse`."""

import ast
from collections.abc import Iterable, Iterator

from tensorcheck.observe.frames import tree_of
from tensorcheck.observe.scopes import Place, Scope, called_name


def added_arguments(name: str, value: object, filenames: Iterable[str]) -> Iterator[Place]:
    """The default that `add_argument("--name", default=…)` spells, if that is what the option is worth."""
    for filename in dict.fromkeys(filenames):
        for node in ast.walk(tree_of(filename) or ast.Module([], [])):
            if isinstance(node, ast.Call) and called_name(node) == "add_argument" and _is_for(node, name):
                default = next((word.value for word in node.keywords if word.arg == "default"), None)
                if isinstance(default, ast.Constant) and default.value == value:
                    yield Place(default, Scope(filename, "", ast.Module([], []), {}))


def _is_for(node: ast.Call, name: str) -> bool:
    words = {word.arg: word.value for word in node.keywords}
    flags = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    destination = words.get("dest")
    if isinstance(destination, ast.Constant):
        return destination.value == name
    long = [flag for flag in flags if flag.startswith("--")]
    return (long or flags or [""])[0].lstrip("-").replace("-", "_") == name

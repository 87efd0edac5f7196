"""What is put into a container after it was made: `rows.append(row)`, `self.cache[key] = sample`."""

import ast
from collections.abc import Callable, Iterator

from tensorcheck.observe.scopes import Path, Place, Scope, called_name, within

_EMPTY = ("list", "dict", "deque", "defaultdict", "OrderedDict")
IsIt = Callable[[ast.expr], bool]


def is_empty_container(node: ast.expr) -> bool:
    """Whether an expression makes a container that is to be filled."""
    match node:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case _:
            return called_name(node) in _EMPTY


def put_into(scope: Scope, is_it: IsIt, path: Path) -> Iterator[Place]:
    """What this body puts into the container that these expressions are, or the element of that."""
    for node in within(scope.body):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="append" | "add"), args=[value]) if is_it(owner):
                yield Place(value, scope, path[1:])
            case ast.Call(func=ast.Attribute(value=owner, attr="extend"), args=[value]) if is_it(owner):
                yield Place(value, scope, (None, *path[1:]))
            case ast.Assign(targets=[ast.Subscript(value=owner, slice=key)], value=value) if is_it(owner):
                if not path or not isinstance(key, ast.Constant) or path[0] in (key.value, None):
                    yield Place(value, scope, path[1:])

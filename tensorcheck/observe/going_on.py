"""Whether code goes on with a number from a checkpoint: with its epoch or step, as the first of a loop."""

import ast
from collections.abc import Collection, Iterator

from tensorcheck.observe.scopes import called_name

_ROUNDS = 4
"""From name to name so often a number is followed."""


def numbers_gone_on_with(tree: ast.Module, keys: Collection[str]) -> Iterator[ast.expr]:
    """What a loop begins with, or waits for, where it is made of what these keys of a checkpoint hold.

    >>> tree = ast.parse('start = saved["epoch"] + 1; rest = range(start, 9)')
    >>> [ast.unparse(node) for node in numbers_gone_on_with(tree, {"epoch"})]
    ['start']
    >>> list(numbers_gone_on_with(ast.parse('epoch = saved["epoch"]; print(epoch)'), {"epoch"}))
    []
    """
    names = _followed(tree, keys)
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[first, *others]) if called_name(node) == "count" or (
                called_name(node) == "range" and others
            ):
                yield from [first] if _has(first, names, keys) else []
            case ast.While(test=ast.Compare(left=left, comparators=others)):
                yield from (part for part in (left, *others) if _has(part, names, keys))


def _followed(tree: ast.Module, keys: Collection[str]) -> frozenset[str]:
    """The names and functions that give what the keys hold."""
    names: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        more = names | {*_given(tree, names, keys)}
        if more == names:
            break
        names = more
    return names


def _given(tree: ast.Module, names: Collection[str], keys: Collection[str]) -> Iterator[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=False)
                yield from (_name(target) for target, value in pairs if _has(value, names, keys))
            case ast.Assign(targets=targets, value=value) if _has(value, names, keys):
                yield from (_name(part) for target in targets for part in getattr(target, "elts", [target]))
            case ast.FunctionDef(name=name):
                if any(_has(each.value, names, keys) for each in _returns(node)):
                    yield f"{name}()"
                for call in calls:
                    yield from _parameters(node, call, names, keys) if called_name(call) == name else ()


def _returns(function: ast.FunctionDef) -> Iterator[ast.Return]:
    return (part for part in ast.walk(function) if isinstance(part, ast.Return))


def _parameters(
    function: ast.FunctionDef, call: ast.Call, names: Collection[str], keys: Collection[str]
) -> Iterator[str]:
    """The parameters that a call gives such a number to."""
    parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    is_method = parameters[:1] == ["self"]
    given = zip(parameters[is_method:], call.args, strict=False)
    yield from (name for name, value in given if _has(value, names, keys))
    yield from (word.arg for word in call.keywords if word.arg and _has(word.value, names, keys))


def _name(node: ast.expr) -> str:
    """A name, or an attribute without its owner: one object goes by many names."""
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def _has(node: ast.expr | None, names: Collection[str], keys: Collection[str]) -> bool:
    return node is not None and any(_is(part, names, keys) for part in ast.walk(node))


def _is(node: ast.AST, names: Collection[str], keys: Collection[str]) -> bool:
    match node:
        case ast.Subscript(slice=ast.Constant(value=key)):
            return key in keys
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=key), *_]) if key in keys:
            return True
        case ast.Call():
            return f"{called_name(node)}()" in names
        case ast.Name() | ast.Attribute():
            return _name(node) in names
        case _:
            return False

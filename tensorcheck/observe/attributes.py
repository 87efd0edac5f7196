"""Where an object's attribute was put: in its class's constructor, its class's body, or from outside."""

import argparse
import ast
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from types import FunctionType, ModuleType

from tensorcheck.observe.arguments import parameter_of
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.command_lines import added_arguments
from tensorcheck.observe.constructors import around, construction, file_of
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import UnknownValueError, evaluate
from tensorcheck.observe.fillings import is_empty_container, put_into
from tensorcheck.observe.frames import Owner, owner_of, tree_of
from tensorcheck.observe.origin import written_element
from tensorcheck.observe.scopes import END, Path, Place, Scope, called_name, within

_REGISTERING = frozenset({"register_buffer", "register_parameter", "add_module", "register_module", "setattr"})


def definitions(node: ast.Attribute, owner: object, scope: Scope, path: Path = ()) -> Iterator[Place]:
    """The expression that `owner.attribute` was given, or the element of it that `path` leads to.

    `owner` is None where it is not known. What is put into a container later counts with the container.
    """
    found = list(_all_definitions(node, owner, scope))
    if not found:
        return
    first = _last_before(node, found, scope)
    is_filled_later = is_empty_container(written_element(first).node)
    filled = list(_filled(node.attr, owner, path, scope)) if is_filled_later else []
    yield from filled or [replace(first, path=first.path + path)]


def _last_before(node: ast.Attribute, found: Sequence[Place], scope: Scope) -> Place:
    """The last statement of the function that comes first; within that function, the last before this place."""
    same = [place for place in found if place.scope.body is found[0].scope.body]
    at = (node.lineno, node.col_offset)
    if found[0].scope.body is scope.body:
        same = [place for place in same if (place.node.end_lineno or 0, place.node.end_col_offset or 0) <= at] or same[
            :1
        ]
    return same[-1]


def _filled(name: str, owner: object, path: Path, scope: Scope) -> Iterator[Place]:
    """What the methods of its class put into `self.name`."""
    if owner is not None:
        for inner in _methods(owner, scope, (Owner.USER,)):
            yield from put_into(inner, lambda it: isinstance(it, ast.Attribute) and _is_own(it, name), path)


def _is_own(node: ast.Attribute, name: str) -> bool:
    return node.attr == name and isinstance(node.value, ast.Name) and node.value.id == "self"


def _all_definitions(node: ast.Attribute, owner: object, scope: Scope) -> Iterator[Place]:
    if isinstance(owner, ModuleType):
        yield from _of_module(owner, node.attr)
        return
    if isinstance(owner, argparse.Namespace):
        yield from added_arguments(node.attr, vars(owner).get(node.attr), [outer.filename for outer in around(scope)])
    cls = owner if isinstance(owner, type) else type(owner) if owner is not None else _constructed(node.value, scope)
    if not isinstance(cls, type):
        yield from given_outside(node.attr, scope)
        return
    yield from _in_constructor_call(node, cls, owner, scope)
    yield from given_in_methods(owner if owner is not None else cls, node.attr, scope)
    yield from given_outside(node.attr, scope)
    yield from _in_body(cls, node.attr, scope)


def _of_module(module: ModuleType, name: str) -> Iterator[Place]:
    filename = getattr(module, "__file__", None) or ""
    tree = tree_of(filename) if filename and owner_of(filename) is Owner.USER else None
    if tree is not None:
        scope = Scope(filename, "", tree, vars(module))
        binding = binding_of(scope, name, END)
        if binding is not None:
            yield Place(binding.value, scope, binding.path)


def _constructed(node: ast.expr, scope: Scope) -> object:
    """The class of an expression in code that is gone: of `cfg` after `cfg = Config(...)` or as `cfg: Config`."""
    if isinstance(node, ast.Call):
        return _evaluated(node.func, scope)
    if not isinstance(node, ast.Name):
        return None
    binding = binding_of(scope, node.id, (node.lineno, node.col_offset))
    if binding is not None and not binding.path and isinstance(binding.value, ast.Call):
        return _evaluated(binding.value.func, scope)
    given = parameter_of(scope, node.id) if binding is None else None
    if given is not None and not given.path and isinstance(given.node, ast.Call):
        return _evaluated(given.node.func, given.scope)
    return _annotated(node.id, scope)


def _annotated(name: str, scope: Scope) -> object:
    arguments = scope.body.args if not isinstance(scope.body, ast.Module) else None
    for argument in [*arguments.args, *arguments.kwonlyargs] if arguments is not None else []:
        if argument.arg == name and argument.annotation is not None:
            return _evaluated(argument.annotation, scope)
    return None


def _evaluated(node: ast.expr, scope: Scope) -> object:
    try:
        return evaluate(node, scope.names)
    except UnknownValueError:
        return None


def _in_constructor_call(node: ast.Attribute, cls: type, owner: object, scope: Scope) -> Iterator[Place]:
    """Of a dataclass, the argument that its maker gave: `Config(width=64)`."""
    if not hasattr(cls, "__dataclass_fields__"):
        return
    calls = [_replacing(node.value, scope), construction(owner, cls, scope)]
    for call in (each for each in calls if each is not None):
        yield from (Place(word.value, call.scope) for word in _keywords(call) if word.arg == node.attr)


def _replacing(node: ast.expr, scope: Scope) -> Place | None:
    """The call of `dataclasses.replace` that a name stands for, also where a caller handed it over."""
    for _ in range(_HANDED):
        if not isinstance(node, ast.Name):
            break
        binding = binding_of(scope, node.id, (node.lineno, node.col_offset))
        given = parameter_of(scope, node.id) if binding is None else None
        if given is not None and not given.path:
            node, scope = given.node, given.scope
        elif binding is not None and not binding.path:
            node = binding.value
        else:
            break
    return Place(node, scope) if called_name(node) in ("replace", "_replace") else None


_HANDED = 4


def _keywords(call: Place) -> list[ast.keyword]:
    return call.node.keywords if isinstance(call.node, ast.Call) else []


def given_in_methods(
    owner: object, name: str, scope: Scope | None, *, owners: Collection[Owner] = (Owner.USER,)
) -> Iterator[Place]:
    """`self.name = …` and `self.register_buffer("name", …)` in its class's own methods, the constructor first.

    `owner` is an object or, where none is known, its class; `scope` is where to look for the call of the constructor.
    """
    for inner in _methods(owner, scope, owners):
        yield from _given_to_self(inner, name)


def _methods(owner: object, scope: Scope | None, owners: Collection[Owner]) -> Iterator[Scope]:
    """The methods of an object's class, of which the constructor was called where the object was made."""
    cls = owner if isinstance(owner, type) else type(owner)
    for function in _functions_of(cls, owners):
        is_constructor = function.__name__ == "__init__" and scope is not None
        held = None if owner is cls else owner
        call = construction(held, cls, scope) if is_constructor and scope is not None else None
        inner = scope_of(function, owner, call)
        if inner is not None:
            yield inner


def _functions_of(cls: type, owners: Collection[Owner]) -> Iterator[FunctionType]:
    """The class's own functions that one of these wrote, the constructor first."""
    for base in cls.__mro__:
        members = [inspect.unwrap(member) for member in vars(base).values() if callable(member)]
        functions = [member for member in members if isinstance(member, FunctionType)]
        for function in sorted(functions, key=lambda function: function.__name__ not in ("__init__", "setup")):
            if owner_of(function.__code__.co_filename) in owners:
                yield function


def _given_to_self(scope: Scope, name: str) -> Iterator[Place]:
    for node in within(scope.body):
        match node:
            case ast.Assign():
                for target in node.targets:
                    yield from (Place(node.value, scope, path, node) for path in _attribute_paths(target, name, "self"))
            case ast.AnnAssign(value=ast.expr() as value):
                yield from (Place(value, scope, path, node) for path in _attribute_paths(node.target, name, "self"))
            case ast.Call(args=[ast.Constant(value=str() as registered), value, *_]) if registered == name:
                if called_name(node) in _REGISTERING:
                    yield Place(value, scope)
            case ast.Call(args=[_, ast.Constant(value=str() as registered), value]) if registered == name:
                if called_name(node) in _REGISTERING:
                    yield Place(value, scope)


def _attribute_paths(target: ast.expr, name: str, owner: str = "") -> Iterator[Path]:
    if isinstance(target, ast.Attribute) and target.attr == name:
        is_self = isinstance(target.value, ast.Name) and target.value.id == "self"
        if is_self is bool(owner):
            yield ()
    elif isinstance(target, ast.Tuple | ast.List):
        for index, element in enumerate(target.elts):
            yield from ((index, *path) for path in _attribute_paths(element, name, owner))


def given_outside(name: str, scope: Scope) -> Iterator[Place]:
    """`model.name = …` in the functions that still run or in their files."""
    for outer in around(scope):
        yield from _assigned_outside(outer.body, outer, name)
    for filename in {outer.filename for outer in around(scope)}:
        for function in ast.walk(tree_of(filename) or ast.Module([], [])):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _assigned_outside(function, Scope(filename, function.name, function, scope.names), name)


def _assigned_outside(body: ast.AST, scope: Scope, name: str) -> Iterator[Place]:
    for node in within(body):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (Place(node.value, scope, path, node) for path in _attribute_paths(target, name))


def _in_body(cls: type, name: str, scope: Scope) -> Iterator[Place]:
    """`name: int = 11` in the class's body: a class attribute or a dataclass's default."""
    for base in cls.__mro__:
        for filename in {file_of(base): None, **{outer.filename: None for outer in around(scope)}}:
            for node in ast.walk(tree_of(filename) or ast.Module([], [])):
                if isinstance(node, ast.ClassDef) and node.name == base.__name__:
                    inner = Scope(filename, base.__qualname__, ast.Module(node.body, []), vars(base))
                    binding = binding_of(inner, name, END)
                    if binding is not None:
                        yield Place(binding.value, inner, binding.path)

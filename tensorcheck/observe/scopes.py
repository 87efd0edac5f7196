"""Bodies of code whose names can be looked up: those of the frames of a crash, and those that ran before it.

A live scope is a frame's, so the values of its names are at hand; of another only its source and its globals are.
"""

import ast
import builtins
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType, FunctionType

from tensorcheck.observe.evaluating import UNKNOWN, Namespace, UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import Owner, expression_at, owner_of, position_of, tree_of
from tensorcheck.observe.stack import StackFrame

Body = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Module
Selector = int | str | None
"""An element of a structure: its index, its key, or None for whichever comes."""
Path = tuple[Selector, ...]
Position = tuple[int, int]
END: Position = (10**9, 0)
"""Below everything."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_NESTED = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """A function or module, how it was called, and what its names stand for."""

    filename: str
    function: str
    """Its qualified name."""
    body: Body
    names: Namespace
    stands_at: Position | None = None
    """Of a live scope, where it stopped."""
    call: ast.Call | None = None
    """The expression that called it, in the scope `caller`."""
    caller: "Scope | None" = None
    standing: ast.AST | None = None
    """Of a live scope, the expression that it stopped in."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A statement that gives a name its value: an expression, or the element of it that `path` leads to."""

    value: ast.expr
    path: Path
    holds_from: Position
    within: ast.AST | None = None
    """The only expression in which it holds, of a comprehension's variable."""
    is_loop: bool = False
    conditions: "Conditions" = ()
    """The tests of the `if`s around it, and whether each had to hold."""


Conditions = tuple[tuple[ast.expr, bool], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """An expression in a scope, or the element of its value that `path` leads to."""

    node: ast.expr
    scope: Scope
    path: Path = field(default=())
    statement: ast.stmt | None = None
    """The statement that gives it its name, if it is the whole of what that statement gives."""

    @property
    def called(self) -> str:
        """The name of the function or class that it calls."""
        return called_name(self.node)


def called_name(node: ast.expr) -> str:
    """The last part of the name of what an expression calls; empty where it calls nothing that has one."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case _:
            return ""


def scopes_of(frames: Sequence[StackFrame]) -> list[Scope]:
    """The user's frames as scopes, outermost first, each called by the one before it."""
    scopes: list[Scope] = []
    for frame in frames:
        if frame.owner is Owner.USER:
            scopes += _live(frame, scopes[-1] if scopes else None)
    return scopes


def _live(frame: StackFrame, outer: Scope | None) -> Iterator[Scope]:
    code = frame.frame.f_code
    standing = expression_at(code, frame.instruction)
    call = outer.standing if outer is not None and isinstance(outer.standing, ast.Call) else None
    names = namespace_of(frame.frame)
    line, _, column, _ = position_of(code, frame.instruction)
    stands_at = (line or code.co_firstlineno, column or 0)
    if code.co_name.startswith("<") and code.co_name not in ("<module>", "<lambda>") and outer is not None:
        # A comprehension: in this Python it has a frame of its own, but its names are looked up around it.
        yield Scope(
            outer.filename,
            outer.function,
            outer.body,
            {**outer.names, **names},
            stands_at,
            outer.call,
            outer.caller,
            standing,
        )
        return
    body = definition_of(code)
    if body is not None:
        yield Scope(code.co_filename, code.co_qualname, body, names, stands_at, call, outer, standing)


def scope_of(function: FunctionType, owner: object = None, call: Place | None = None) -> Scope | None:
    """A function of the user's as it would run; `owner` is its `self`, an object or, where none is known, its class."""
    code = function.__code__
    body = definition_of(code)
    if body is None or owner_of(code.co_filename) not in (Owner.USER, Owner.INSTALLED):
        return None
    names = {**vars(builtins), **function.__globals__, **_free_names(function)}
    if owner is not None and code.co_argcount:
        names[code.co_varnames[0]] = owner
    spelled = call.node if call is not None and isinstance(call.node, ast.Call) else None
    return _with_arguments(
        Scope(code.co_filename, code.co_qualname, body, names, None, spelled, call.scope if call else None)
    )


def _with_arguments(scope: Scope) -> Scope:
    """The scope of a function that ran before, with what its caller gave it where that is still known."""
    if scope.caller is None or isinstance(scope.body, ast.Module):
        return scope
    names = dict(scope.names)
    arguments = scope.body.args
    for name in [each.arg for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]:
        given = parameter_of(scope, name)
        value = value_of(given.node, given.scope) if given is not None and given.scope is not scope else UNKNOWN
        if value is not UNKNOWN:
            names[name] = value
    return replace(scope, names=names)


def _free_names(function: FunctionType) -> dict[str, object]:
    try:
        return dict(inspect.getclosurevars(function).nonlocals)
    except (TypeError, ValueError):
        return {}


def module_scope(scope: Scope) -> Scope | None:
    """The module that a scope lies in."""
    tree = tree_of(scope.filename)
    if tree is None or isinstance(scope.body, ast.Module):
        return None
    return Scope(scope.filename, "", tree, scope.names)


def definition_of(code: CodeType) -> Body | None:
    """The syntax tree that a code object was compiled from."""
    tree = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            return node
        if isinstance(node, _FUNCTIONS) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def within(body: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a body, without those of the functions and classes inside it."""
    return (node for node, _ in _within(body, ()))


def _within(node: ast.AST, conditions: Conditions) -> Iterator[tuple[ast.AST, Conditions]]:
    """Each node with the tests of the `if`s around it."""
    for name, children in ast.iter_fields(node):
        inner = conditions
        if isinstance(node, ast.If) and name in ("body", "orelse"):
            inner = (*conditions, (node.test, name == "body"))
        for child in children if isinstance(children, list) else [children]:
            if isinstance(child, ast.AST):
                yield child, inner
                if not isinstance(child, _NESTED):
                    yield from _within(child, inner)


def results(scope: Scope) -> Iterator[tuple[ast.expr, bool]]:
    """What a function may have returned or yielded, and whether it yields it."""
    if isinstance(scope.body, ast.Lambda):
        yield scope.body.body, False
        return
    for node, conditions in _within(scope.body, ()):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None and _may_hold(conditions, scope):
            yield node.value, isinstance(node, ast.Yield)


def binding_of(scope: Scope, name: str, at: Position) -> Binding | None:
    """What last gave a name its value before this place; in a loop that may stand below it."""
    found = [binding for binding in _bindings(scope.body, name) if _may_hold(binding.conditions, scope)]
    local = [binding for binding in found if binding.within is not None and _contains(binding.within, at)]
    others = [binding for binding in found if binding.within is None]
    before = [binding for binding in others if binding.holds_from <= at]
    below = [] if _is_parameter(scope, name) else others
    return next(iter([*local[-1:], *before[-1:], *below[-1:]]), None)


def _is_parameter(scope: Scope, name: str) -> bool:
    if isinstance(scope.body, ast.Module):
        return False
    arguments = scope.body.args
    return any(each.arg == name for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])


def _may_hold(conditions: Conditions, scope: Scope) -> bool:
    """Whether no test is known to have gone the other way; names that change are left out."""
    return all(truth_of(test, scope) in (None, wanted) for test, wanted in conditions)


def truth_of(test: ast.expr, scope: Scope) -> bool | None:
    """How a test goes that asks for an attribute of what is still there, as `self.transform is not None` does."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            inner = truth_of(test.operand, scope)
            return None if inner is None else not inner
        case ast.Compare(left=asked, ops=[ast.Is() | ast.IsNot() as operator], comparators=[ast.Constant(value=None)]):
            held = _held(asked, scope)
            return None if held is _UNTOLD else (held is None) is isinstance(operator, ast.Is)
        case ast.Attribute():
            held = _held(test, scope)
            return bool(held) if isinstance(held, bool | int | str | None) else None
        case _:
            return None


_UNTOLD = object()


def _held(node: ast.expr, scope: Scope) -> object:
    """An attribute's value, of an object that no statement of this scope could have exchanged."""
    if not isinstance(node, ast.Attribute):
        return _UNTOLD
    try:
        return evaluate(node, scope.names)
    except UnknownValueError:
        return _UNTOLD


def _contains(node: ast.AST, at: Position) -> bool:
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
    return (first, getattr(node, "col_offset", 0)) <= at <= (last, getattr(node, "end_col_offset", 0))


def _bindings(body: Body, name: str) -> Iterator[Binding]:
    for node, conditions in _within(body, ()):
        for target, value, path, where, is_loop in _given(node):
            for found in _paths_to(target, name):
                ends = (value.end_lineno or value.lineno, value.end_col_offset or 0)
                yield Binding(value, path + found, ends, where, is_loop, conditions)


_Given = tuple[ast.expr, ast.expr, Path, ast.AST | None, bool]


def _given(node: ast.AST) -> Iterator[_Given]:
    """The targets of a statement, with the expression that each gets or gets an element of."""
    match node:
        case ast.Assign():
            yield from ((target, node.value, (), None, False) for target in node.targets)
        case ast.AnnAssign(value=ast.expr() as value):
            yield node.target, value, (), None, False
        case ast.NamedExpr():
            yield node.target, node.value, (), None, False
        case ast.AugAssign():
            yield node.target, _as_expression(node), (), None, False
        case ast.For() | ast.AsyncFor():
            yield node.target, node.iter, (None,), None, True
        case ast.withitem(optional_vars=ast.expr() as target):
            yield target, node.context_expr, (), None, False
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from ((each.target, each.iter, (None,), node, True) for each in node.generators)


def _as_expression(node: ast.AugAssign) -> ast.expr:
    """`x += y` as the expression `x + y`."""
    target = ast.parse(ast.unparse(node.target), mode="eval").body
    for part in ast.walk(target):
        ast.copy_location(part, node.target)
    return ast.copy_location(ast.BinOp(target, node.op, node.value), node)


def _paths_to(target: ast.expr, name: str) -> Iterator[Path]:
    if isinstance(target, ast.Name) and target.id == name:
        yield ()
    elif isinstance(target, ast.Starred):
        yield from _paths_to(target.value, name)
    elif isinstance(target, ast.Tuple | ast.List):
        for index, element in enumerate(target.elts):
            yield from ((index, *path) for path in _paths_to(element, name))


def value_of(node: ast.expr, scope: Scope) -> object:
    """What an expression is worth, where its names still stand for what they did; `UNKNOWN` otherwise."""
    try:
        return evaluate(node, scope.names) if _is_current(node, scope) else UNKNOWN
    except UnknownValueError:
        return UNKNOWN


def _is_current(node: ast.expr, scope: Scope) -> bool:
    """Whether every name in it has the value now that it had there."""
    used = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return all(_same_binding(name, scope) for name in used)


def _same_binding(name: ast.Name, scope: Scope) -> bool:
    then = binding_of(scope, name.id, (name.lineno, name.col_offset))
    if scope.stands_at is None:
        return then is None
    now = binding_of(scope, name.id, scope.stands_at)
    return then is None or now is None or then.value is now.value


def parameter_of(scope: Scope, name: str) -> Place | None:
    """What a function was given under this name: its caller's argument, else the default."""
    if isinstance(scope.body, ast.Module):
        return None
    arguments = scope.body.args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    if name not in [*names, *(argument.arg for argument in arguments.kwonlyargs)]:
        return None
    given = _given_argument(scope, names, name)
    if given is not None and scope.caller is not None:
        return Place(given, scope.caller)
    default = _default(arguments, names, name)
    return None if default is None else Place(default, scope)


def _given_argument(scope: Scope, names: Sequence[str], name: str) -> ast.expr | None:
    if scope.call is None or any(isinstance(argument, ast.Starred) for argument in scope.call.args):
        return None
    own = names[1:] if names and names[0] in ("self", "cls") else names
    spelled = dict(zip(own, scope.call.args, strict=False))
    spelled |= {word.arg: word.value for word in scope.call.keywords if word.arg}
    return spelled.get(name)


def _default(arguments: ast.arguments, names: Sequence[str], name: str) -> ast.expr | None:
    defaults: dict[str, ast.expr | None] = {}
    if arguments.defaults:
        defaults |= zip(names[-len(arguments.defaults) :], arguments.defaults, strict=True)
    defaults |= zip((argument.arg for argument in arguments.kwonlyargs), arguments.kw_defaults, strict=True)
    return defaults.get(name)

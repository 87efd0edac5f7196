"""Which call failed below the user's line: of a layer, of a loss, or the function or operator in the line itself."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor, nn

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import expression_at, site_of_node, spelled_arguments
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.operands import operand_of
from tensorcheck.observe.stack import StackFrame

MetaOf = Callable[[nn.Module], ModuleMeta]

_OPERATORS: Mapping[type[ast.operator | ast.cmpop | ast.unaryop], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.USub: "neg",
    ast.Invert: "invert",
    ast.Not: "not",
}
_PLAIN = (bool, int, float, str, type(None))


def failed_call(
    user: StackFrame, below: Sequence[StackFrame], meta_of: MetaOf, lineages: Lineages
) -> FailedCall | None:
    """The innermost layer or loss below the user's own line; where there is none, what the line itself calls."""
    calls = [frame for frame in below if frame.layer is not None or frame.loss]
    if not calls:
        return _operation(user, lineages)
    failed, direct = calls[-1], calls[0]
    is_direct = failed is direct or (failed.loss is not None and type(direct.layer).__name__.endswith("Loss"))
    node = expression_at(user.frame.f_code, user.instruction)
    spelled = spelled_arguments(node, _names(direct)) if is_direct else {}
    whole = None if is_direct else _first_argument(node)
    operands = tuple(_arguments(failed, spelled, whole, user, lineages))
    if failed.loss:
        return FailedCall(failed.loss, "loss", operands)
    layer = failed.layer
    if layer is None:
        return None
    made = lineages.of_settings(layer)
    return FailedCall(type(layer).__name__, "layer", operands, module=meta_of(layer), made=made)


def _names(call: StackFrame) -> tuple[str, ...]:
    return call.parameters[1:] if call.layer is not None else call.parameters


def _first_argument(node: ast.AST | None) -> ast.expr | None:
    return node.args[0] if isinstance(node, ast.Call) and node.args else None


def _arguments(
    call: StackFrame,
    spelled: Mapping[str, ast.expr],
    whole: ast.expr | None,
    user: StackFrame,
    lineages: Lineages,
) -> Iterator[Operand]:
    """What a layer or loss was given; what reached it through others began as the user's first argument."""
    values = call.frame.f_locals
    for index, name in enumerate(call.parameters):
        for path, tensor in leaves(values.get(name), name):
            node = spelled.get(name) if path == name else None
            operand = operand_of(path, tensor, node, user, lineages)
            is_first = index == (1 if call.layer is not None else 0)
            yield lineages.through(operand, whole, user) if whole is not None and is_first else operand


def _operation(user: StackFrame, lineages: Lineages) -> FailedCall | None:
    """The function, method or operator of the innermost expression that was being computed."""
    node = expression_at(user.frame.f_code, user.instruction)
    names = namespace_of(user.frame)
    parts = list(_parts(node, names))
    if node is None or not parts:
        return None
    operands, settings = [], []
    for name, part in parts:
        value = _value(part, names)
        tensors = list(_tensors_of(part, value, names))
        operands += [operand_of(ast.unparse(each), tensor, each, user, lineages) for each, tensor in tensors]
        if not tensors and value is not _UNKNOWN and _is_plain(value):
            settings.append(_setting(name, value, part, user, lineages))
    return FailedCall(_function(node, names), "operation", tuple(operands), tuple(settings))


_UNKNOWN = object()


def _value(node: ast.expr, names: Namespace) -> object:
    try:
        return evaluate(node, names)
    except UnknownValueError:
        return _UNKNOWN


def _is_plain(value: object) -> bool:
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(part, _PLAIN) for part in parts)


def _setting(name: str, value: object, node: ast.expr, user: StackFrame, lineages: Lineages) -> Setting:
    code = user.frame.f_code
    plain = tuple(value) if isinstance(value, tuple | list) else value
    return Setting(name, plain, site_of_node(node, code.co_filename, code.co_qualname), lineages.of(node, user, None))


def _tensors_of(node: ast.expr, value: object, names: Namespace) -> Iterator[tuple[ast.expr, Tensor]]:
    """The tensors of one argument, each with its own expression where the argument is written as a list."""
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from _tensors_of(element, _value(element, names), names)
    elif isinstance(value, Tensor):
        yield node, value
    elif value is not _UNKNOWN:
        for path, tensor in leaves(value, ast.unparse(node)):
            yield _parsed(path, node), tensor


def _parsed(code: str, at: ast.expr) -> ast.expr:
    """The expression that reaches an element, placed where its container stands."""
    try:
        expression = ast.parse(code, mode="eval").body
    except SyntaxError:
        return at
    for part in ast.walk(expression):
        ast.copy_location(part, at)
    return expression


def _parts(node: ast.AST | None, names: Namespace) -> Iterator[tuple[str, ast.expr]]:
    """What an expression works on, each part by the name of the parameter or its position."""
    match node:
        case ast.Call():
            if isinstance(node.func, ast.Attribute) and not _is_namespace(node.func.value, names):
                yield "self", node.func.value
            yield from ((str(index), argument) for index, argument in enumerate(node.args))
            yield from ((word.arg, word.value) for word in node.keywords if word.arg)
        case ast.BinOp():
            yield from (("0", node.left), ("1", node.right))
        case ast.AugAssign():
            yield from (("0", node.target), ("1", node.value))
        case ast.Compare():
            yield from ((str(index), part) for index, part in enumerate([node.left, *node.comparators]))
        case ast.UnaryOp():
            yield "0", node.operand
        case ast.Subscript():
            yield from (("self", node.value), ("index", node.slice))
        case ast.BoolOp():
            yield from ((str(index), part) for index, part in enumerate(node.values))
        case ast.Attribute():
            yield "self", node.value
        case ast.Name():
            yield "0", node


def _is_namespace(node: ast.expr, names: Namespace) -> bool:
    """Whether a name stands for a Python module or a class, so that what is called is a function of it."""
    value = _value(node, names)
    return isinstance(value, type(ast) | type)


def _function(node: ast.AST, names: Namespace) -> str:
    match node:
        case ast.Call():
            value = _value(node.func, names)
            written = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            return str(getattr(value, "__name__", written))
        case ast.BinOp() | ast.AugAssign():
            return _OPERATORS[type(node.op)]
        case ast.UnaryOp():
            return _OPERATORS.get(type(node.op), "pos")
        case ast.Compare():
            return _OPERATORS.get(type(node.ops[0]), "in")
        case ast.Subscript():
            return "getitem" if isinstance(node.ctx, ast.Load) else "setitem"
        case ast.Attribute():
            return node.attr
        case _:
            return ""

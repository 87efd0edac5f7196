"""Functions that work element by element, and what they do on their own: broadcast, and promote dtypes."""

import ast
from collections.abc import Sequence

from tensorcheck.tensors import NamedTensor, TensorMeta
from tensorcheck.trace import Operation, Trace

_ARITHMETIC = frozenset(
    [
        *("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "truediv", "floor_divide"),
        *("floordiv", "remainder", "mod", "fmod", "pow", "float_power", "atan2", "arctan2", "maximum", "minimum"),
        *("fmax", "fmin", "hypot", "copysign", "logaddexp", "logaddexp2", "xlogy", "special_xlogy", "lerp", "addcmul"),
        *("addcdiv", "nextafter", "heaviside", "ldexp", "gcd", "lcm", "copy", "where", "masked_fill"),
    ]
)
_COMPARISONS = frozenset(
    [
        *("eq", "ne", "lt", "le", "gt", "ge", "less", "less_equal", "greater", "greater_equal", "not_equal", "isclose"),
        *("logical_and", "logical_or", "logical_xor"),
    ]
)
_BITS = frozenset(["and", "or", "xor", "bitwise_and", "bitwise_or", "bitwise_xor", "lshift", "rshift"])
_LOSSES = frozenset(["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss"])
_BROADCASTING = _ARITHMETIC | _COMPARISONS | _BITS | _LOSSES
MASKED = frozenset(["where", "masked_fill"])
"""Those of them whose mask is no value."""


def plain_name(operation: Operation) -> str:
    """A function's name without what says that it is an operator, reflected or in place.

    >>> plain_name(Operation("__rsub__", "", "", None, inputs=(), outputs=()))
    'sub'
    >>> plain_name(Operation("rand", "", "", None, inputs=(), outputs=()))
    'rand'
    """
    name = operation.name.strip("_")
    is_operator = operation.name.startswith("__") and name not in _BROADCASTING
    return name[1:] if is_operator and name[:1] in ("r", "i") and name[1:] in _BROADCASTING else name


def is_elementwise(operation: Operation) -> bool:
    """Whether its operands are brought to one shape and one dtype without being asked for.

    >>> is_elementwise(Operation("linear", "", "", None, inputs=(), outputs=()))
    False
    """
    return plain_name(operation) in _BROADCASTING


def is_comparison(operation: Operation) -> bool:
    """Whether its result is of booleans, whatever its operands are.

    >>> is_comparison(Operation("__eq__", "", "", None, inputs=(), outputs=()))
    True
    """
    return plain_name(operation) in _COMPARISONS


def is_loss(operation: Operation) -> bool:
    """Whether it is a loss of `torch.nn.functional`.

    >>> is_loss(Operation("cross_entropy", "", "", None, inputs=(), outputs=()))
    True
    """
    return operation.name.endswith("_loss") or operation.name in _OTHER_LOSSES


_OTHER_LOSSES = frozenset(
    ["kl_div", "cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss"]
)


def operands(trace: Trace, operation: Operation) -> tuple[NamedTensor, ...]:
    """What an operation read, each as the user's line spells it where that can be told.

    >>> trace = Trace(0, (Operation("add", "", "", None, inputs=(), outputs=()),))
    >>> operands(trace, trace.operations[0])
    ()
    """
    values = [trace.values[place] for place in operation.inputs]
    code = operation.site.code if operation.site is not None else ""
    spelled = spelled_operands(code, len(values)) or [value.name for value in values]
    return tuple(NamedTensor(name, value.meta) for name, value in zip(spelled, values, strict=True))


def spelled_operands(code: str, count: int) -> list[str]:
    """How an expression spells its operands; empty where it is not one that has so many.

    >>> spelled_operands("loss_fn(pred, y)", 2), spelled_operands("pred.mul(y)", 2), spelled_operands("a + b * c", 3)
    (['pred', 'y'], ['pred', 'y'], [])
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    nodes = _operand_nodes(body[0], count) if len(body) == 1 else []
    return [ast.unparse(node) for node in nodes] if len(nodes) == count else []


def _operand_nodes(statement: ast.stmt, count: int) -> Sequence[ast.expr]:
    match statement:
        case ast.AugAssign(target, _, value):
            return [target, value]
        case ast.Expr(ast.BinOp(left, _, right)) | ast.Expr(ast.Compare(left, [_], [right])):
            return [left, right]
        case ast.Expr(ast.Call(ast.Attribute(owner), args, [])) if len(args) == count - 1:
            return [owner, *args]
        case ast.Expr(ast.Call(_, args, [])):
            return [] if any(isinstance(argument, ast.Starred) for argument in args) else args
    return []


def promoted(metas: Sequence[TensorMeta]) -> str:
    """The dtype that PyTorch computes in: a tensor without dims counts only where its kind of number is a higher one.

    >>> promoted([TensorMeta((8,), "float16", "cpu"), TensorMeta((8,), "int64", "cpu")])
    'float16'
    >>> promoted([TensorMeta((8,), "float32", "cpu"), TensorMeta((), "float64", "cpu")])
    'float32'
    """
    with_dims = [meta.dtype for meta in metas if meta.shape]
    numbers = [meta.dtype for meta in metas if not meta.shape]
    if not with_dims:
        return _together(numbers)
    result, number = _together(with_dims), _together(numbers or ["bool"])
    if _kind(number) <= _kind(result):
        return result
    return f"complex{_complex_width(result)}" if _kind(result) == _REAL and _kind(number) == _COMPLEX else number


def _together(dtypes: Sequence[str]) -> str:
    """The dtype of operands of which all have dims, or none."""
    highest = max(map(_kind, dtypes))
    result, *others = [dtype for dtype in dtypes if _kind(dtype) == highest]
    for other in others:
        result = _wider(result, other)
    reals = [_complex_width(dtype) for dtype in dtypes if _kind(dtype) == _REAL]
    return f"complex{max([_width(result), *reals])}" if highest == _COMPLEX else result


_REAL, _COMPLEX = 2, 3


def _complex_width(real: str) -> int:
    """How wide complex numbers are whose parts are such real ones."""
    return 64 if real == "bfloat16" else 2 * _width(real)


def _kind(dtype: str) -> int:
    if dtype == "bool":
        return 0
    if dtype.startswith("complex"):
        return _COMPLEX
    return _REAL if dtype.startswith(("float", "bfloat")) else 1


def _width(dtype: str) -> int:
    digits = "".join(filter(str.isdigit, dtype.partition("_")[0]))
    return int(digits) if digits else 1


def _wider(left: str, right: str) -> str:
    """Of two dtypes of one kind; those that are equally wide and differ meet in the next."""
    if left == right:
        return left
    if {left, right} == {"float16", "bfloat16"}:
        return "float32"
    wide, narrow = sorted([left, right], key=_width, reverse=True)
    if wide.startswith("uint") and not narrow.startswith("uint"):
        return f"int{min(2 * _width(wide), 64)}"
    return wide

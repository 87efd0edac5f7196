"""An operation of two operands with one of them squeezed, as code."""

import ast


def squeezed(code: str, dim: int, *, column_is_left: bool) -> str:
    """The same with a dim of the left or the right operand squeezed; empty where it is not written as an operator.

    >>> squeezed("scores - targets", 1, column_is_left=True), squeezed("a == (b > 0)", 1, column_is_left=False)
    ('scores.squeeze(1) - targets', 'a == (b > 0).squeeze(1)')
    >>> squeezed("torch.sub(a, b)", 1, column_is_left=True)
    ''
    """
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError:
        return ""
    match node:
        case ast.BinOp(left, operator, right):
            sign = _sign(ast.BinOp(ast.Name("a"), operator, ast.Name("b")))
        case ast.Compare(left, [comparison], [right]):
            sign = _sign(ast.Compare(ast.Name("a"), [comparison], [ast.Name("b")]))
        case _:
            return ""
    one, other = _operand(left), _operand(right)
    return f"{one}.squeeze({dim}){sign}{other}" if column_is_left else f"{one}{sign}{other}.squeeze({dim})"


def _sign(node: ast.expr) -> str:
    return ast.unparse(node)[1:-1]


def _operand(node: ast.expr) -> str:
    code = ast.unparse(node)
    return f"({code})" if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare) else code

"""Places in the running code that change a tensor in place, as its source and its modules show them."""

import ast
from collections.abc import Collection, Iterator, Sequence

from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.differentiation import Write
from tensorcheck.observe.evaluating import UnknownValueError, evaluate
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.scopes import Scope, within
from tensorcheck.sites import Site

_HARMLESS = frozenset({"requires_grad_", "detach_", "share_memory_", "resize_", "rename_"})
"""Methods whose names end as those of methods in place do, and that change no values."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def writes_to(names: Collection[str], around: Sequence[Site]) -> Iterator[Write]:
    """Statements that change what one of these names stands for, in the functions that these places lie in."""
    seen: set[tuple[str, int]] = set()
    for site in around:
        body = _body_around(site)
        for node, function in _writes(body, names) if body is not None else ():
            key = (site.file, node.lineno)
            if key not in seen:
                seen.add(key)
                yield Write(site_of_node(node, site.file, site.function), function)


def _body_around(site: Site) -> ast.AST | None:
    """The innermost function that a place lies in, or its whole file."""
    tree = tree_of(site.file)
    functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)] if tree is not None else []
    around = [node for node in functions if node.lineno <= site.line <= (node.end_lineno or 0)]
    return max(around, key=lambda node: node.lineno, default=tree)


def _writes(body: ast.AST, names: Collection[str]) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in within(body):
        match node:
            case ast.AugAssign(target=target) if _base(target) in names:
                yield node, f"__i{_OPERATORS.get(type(node.op), 'op')}__"
            case ast.Assign(targets=targets) if any(_is_part_of(target, names) for target in targets):
                yield node, "__setitem__"
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if _is_in_place(name) and _base(owner) in names:
                yield node, name
            case ast.Call() if _writes_argument(node, names):
                yield node, ast.unparse(node.func).rpartition(".")[2]


_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv"}


def _base(node: ast.expr) -> str:
    """What an expression is a part of: `states` of `states[t + 1]`."""
    while isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in ("data", "T", "mT")):
        node = node.value
    return ast.unparse(node)


def _is_part_of(target: ast.expr, names: Collection[str]) -> bool:
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    return any(isinstance(part, ast.Subscript) and _base(part) in names for part in parts)


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and name not in _HARMLESS


def _writes_argument(call: ast.Call, names: Collection[str]) -> bool:
    """Whether a call has `inplace=True` or `out=`, and writes to one of the names."""
    for word in call.keywords:
        if word.arg == "out" and _base(word.value) in names:
            return True
        if word.arg == "inplace" and isinstance(word.value, ast.Constant) and word.value.value is True:
            return any(_base(argument) in names for argument in call.args)
    return False


def steps_on(parameter: Tensor, scopes: Sequence[Scope]) -> Iterator[Write]:
    """Calls of `step` in the running code, of optimizers that hold a parameter."""
    for scope in reversed(scopes):
        for node in within(scope.body):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step":
                owner = _value(node.func.value, scope)
                if isinstance(owner, Optimizer) and _holds(owner, parameter):
                    yield Write(site_of_node(node, scope.filename, scope.function), "step")


def _value(node: ast.expr, scope: Scope) -> object:
    try:
        return evaluate(node, scope.names)
    except UnknownValueError:
        return None


def _holds(optimizer: Optimizer, parameter: Tensor) -> bool:
    return any(each is parameter for group in optimizer.param_groups for each in group["params"])


def layers_in_place(models: Sequence[nn.Module], after: Collection[str]) -> Iterator[tuple[str, nn.Module]]:
    """Layers that were built with `inplace=True`, by their paths; those right after one of these functions first."""
    found = []
    for model in models:
        before = ""
        for path, module in model.named_modules():
            if getattr(module, "inplace", False) is True:
                found.append((before not in after, path, module))
            before = type(module).__name__.lower()
    yield from ((path, module) for _, path, module in sorted(found, key=lambda each: each[0]))

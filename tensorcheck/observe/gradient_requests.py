"""Where the user's files ask for the gradient of a plain tensor, and whether anything in them may read it."""

import ast
from collections.abc import Iterable, Iterator

from tensorcheck.events.loop import GradientRequest
from tensorcheck.observe.frames import site_of_node, tree_of

_READERS = frozenset(
    {
        *("grad", "retain_grad", "register_hook", "register_full_backward_hook", "register_full_backward_pre_hook"),
        *("checkpoint", "checkpoint_sequential", "jacobian", "hessian", "vjp", "jvp", "jacrev", "jacfwd", "hvp", "vhp"),
        *("gradcheck", "gradgradcheck", "attribute", "captum", "autograd", "func", "functorch"),
    }
)
"""Names that read a gradient of an input, or that want an input to carry one."""


def idle_request(files: Iterable[str]) -> GradientRequest | None:
    """The only request in these files, if nothing in them can read a gradient."""
    nodes = [(name, node) for name in files for node in ast.walk(tree_of(name) or ast.Module([], []))]
    if any(_reads(node) for _, node in nodes):
        return None
    found = [request for name, node in nodes for request in _requests(name, node)]
    return found[0] if len(found) == 1 else None


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
            return not _READERS.isdisjoint(name.split("."))
        case ast.ImportFrom(module=str() as name):
            return not _READERS.isdisjoint(name.split("."))
        case _:
            return False


def _requests(filename: str, node: ast.AST) -> Iterator[GradientRequest]:
    """`x.requires_grad_()`, `x.requires_grad = True` and `x = torch.rand(8, requires_grad=True)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="requires_grad_")):
            yield GradientRequest(ast.unparse(owner), site_of_node(node, filename, ""))
        case ast.Assign(targets=[ast.Attribute(value=owner, attr="requires_grad")]):
            yield GradientRequest(ast.unparse(owner), site_of_node(node, filename, ""))
        case ast.Assign(targets=[target], value=ast.Call(keywords=words) as call) if _asks(words):
            yield GradientRequest(ast.unparse(target), site_of_node(call, filename, ""))


def _asks(words: Iterable[ast.keyword]) -> bool:
    return any(word.arg == "requires_grad" for word in words)

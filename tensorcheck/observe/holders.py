"""What in the running code holds a tensor: variables, attributes and parameters, and what put it there."""

import ast
import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.differentiation import Held
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.frames import Owner, owner_of, site_of_node, tree_of
from tensorcheck.observe.scopes import END, Scope
from tensorcheck.sites import Site


class Found(NamedTuple):
    """A tensor, what holds it, and the running function whose name led there."""

    held: Held
    tensor: Tensor
    scope: Scope


def held_tensors(scopes: Sequence[Scope]) -> Iterator[Found]:
    """The tensors that the names of the running code lead to, those of the innermost function first."""
    seen: set[int] = set()
    for scope in reversed(scopes):
        for name, value in list(scope.names.items()):
            if id(value) not in seen and not name.startswith("__"):
                seen.add(id(value))
                yield from (Found(held, tensor, scope) for held, tensor in _of_name(name, value, scope))


def _of_name(name: str, value: object, scope: Scope) -> Iterator[tuple[Held, Tensor]]:
    if isinstance(value, Tensor):
        yield Held(name, site_of_binding(name, scope)), value
    elif isinstance(value, nn.Module):
        yield from _of_module(name, value)
    elif isinstance(value, list | tuple | dict):
        site = site_of_binding(name, scope)
        yield from ((Held(path, site), tensor) for path, tensor in leaves(value, name))
    elif is_of_user(value):
        yield from _of_attributes(name, value)


def _of_module(name: str, module: nn.Module) -> Iterator[tuple[Held, Tensor]]:
    for path, part in module.named_modules(prefix=name):
        yield from _of_attributes(path, part)
    for path, parameter in module.named_parameters(prefix=name):
        yield Held(path, is_parameter=True), parameter
    for path, buffer in module.named_buffers(prefix=name):
        yield Held(path), buffer


def _of_attributes(path: str, owner: object) -> Iterator[tuple[Held, Tensor]]:
    for name, value in list(vars(owner).items()):
        if not name.startswith("_") and isinstance(value, Tensor | list | tuple | dict):
            site = site_of_attribute(type(owner), name)
            yield from ((Held(inner, site), tensor) for inner, tensor in leaves(value, f"{path}.{name}", 2))


def is_of_user(value: object) -> bool:
    """Whether it is an object of a class that the user wrote."""
    cls = type(value)
    if isinstance(value, type | ModuleType | Optimizer) or not hasattr(value, "__dict__"):
        return False
    return owner_of(_file_of(cls)) is Owner.USER if cls.__module__ != "builtins" else False


def _file_of(cls: type) -> str:
    """Where a class was written; the file of a method of it, since that of a class in `__main__` cannot be asked."""
    for member in vars(cls).values():
        code = getattr(inspect.unwrap(member) if callable(member) else member, "__code__", None)
        if code is not None:
            return str(code.co_filename)
    return "<frozen"


def site_of_binding(name: str, scope: Scope) -> Site | None:
    """The expression that a name was given last, before the place where the scope stands."""
    with suppress(Exception):
        binding = binding_of(scope, name, scope.stands_at or END)
        if binding is not None:
            return site_of_node(binding.value, scope.filename, scope.function)
    return None


def site_of_attribute(cls: type, name: str) -> Site | None:
    """The last statement in a class's methods that gives an attribute something; not those of its constructor first."""
    filename = _file_of(cls)
    tree = tree_of(filename) if owner_of(filename) is Owner.USER else None
    found = list(_given(tree, cls, name, filename)) if tree is not None else []
    later = [site for site in found if not site.function.endswith("__init__")]
    return next(iter([*later[::-1], *found[::-1]]), None)


def _given(tree: ast.Module, cls: type, name: str, filename: str) -> Iterator[Site]:
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__]
    for method in (node for body in bodies for node in body.body if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(method):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            parts = [part for target in targets if target is not None for part in ast.walk(target)]
            if any(isinstance(part, ast.Attribute) and part.attr == name and _stores(part) for part in parts):
                yield site_of_node(node, filename, f"{cls.__name__}.{method.name}")  # type: ignore[arg-type]  # a statement


def _stores(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)

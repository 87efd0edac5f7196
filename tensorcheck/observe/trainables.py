"""What of the models at hand could be trained, and which lines of the user's switch gradients off."""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import torch
from torch import nn
from torch.optim import Optimizer

from tensorcheck.differentiation import Trainable
from tensorcheck.lineage import Lineage
from tensorcheck.observe.describe import kinds_of
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import Owner, owner_of, site_of_node, tree_of
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.stack import StackFrame
from tensorcheck.sites import Site

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def trainable_of(
    frames: Sequence[StackFrame], watched: Sequence[nn.Module], lineage: Lineage | None
) -> Trainable | None:
    """What could be trained, if something was being differentiated or optimized; `lineage` is the loss's."""
    if not any(_differentiates_or_optimizes(frame) for frame in frames):
        return None
    scopes = scopes_of(frames)
    models = list(watched) or _running(frames) or _mentioned(models_of(scopes), scopes, lineage)
    parameters = [pair for model in models for pair in model.named_parameters()]
    return Trainable(
        wanted=tuple(name for name, parameter in parameters if parameter.requires_grad),
        frozen=tuple(name for name, parameter in parameters if not parameter.requires_grad),
        freezing=tuple(freezing_in(scopes)),
        repeated=tuple(_repeated(frames, parameters)),
        is_grad_enabled=torch.is_grad_enabled(),
        switching_off=tuple(_found_in(scopes, _switches_off)),
        kinds={path: kind for model in models for path, kind in kinds_of(model).items()},
    )


def freezing_in(scopes: Sequence[Scope]) -> list[Site]:
    """The statements of the user's that set `requires_grad` to something else than True."""
    return _found_in(scopes, _freezes)


def _differentiates_or_optimizes(frame: StackFrame) -> bool:
    if frame.owner is not Owner.TORCH:
        return False
    is_autograd = frame.frame.f_globals.get("__name__") == torch.autograd.__name__
    is_distributed = isinstance(frame.module, nn.parallel.DistributedDataParallel)
    return is_autograd or is_distributed or isinstance(frame.local("self"), Optimizer)


def _running(frames: Sequence[StackFrame]) -> list[nn.Module]:
    return [module for frame in frames if (module := frame.module) is not None][:1]


def models_of(scopes: Sequence[Scope]) -> dict[str, nn.Module]:
    """The models that the names of the running code stand for, without the parts of others."""
    named: dict[str, nn.Module] = {}
    for scope in scopes:
        for name, value in scope.names.items():
            parts = [(name, value), *_attributes(name, value)]
            named |= {path: part for path, part in parts if isinstance(part, nn.Module)}
    inner = {id(child) for module in named.values() for child in module.modules() if child is not module}
    outer = {id(module): name for name, module in named.items() if id(module) not in inner}
    return {name: named[name] for name in outer.values()}


def _attributes(name: str, value: object) -> Iterator[tuple[str, object]]:
    if hasattr(value, "__dict__") and not isinstance(value, type | ModuleType | nn.Module):
        yield from ((f"{name}.{key}", part) for key, part in list(vars(value).items()))


def _mentioned(models: dict[str, nn.Module], scopes: Sequence[Scope], lineage: Lineage | None) -> list[nn.Module]:
    """Those that the code on the way to the loss, or else the running line, names; all where it names none."""
    sites = [each.site for each in lineage.ancestors if each.site is not None] if lineage is not None else []
    words = {word for site in sites for word in re.findall(r"\w+", site.code)}
    words |= {word for scope in scopes[-1:] for word in re.findall(r"\w+", _line(scope))} if not words else set()
    named = [model for name, model in models.items() if name.rpartition(".")[2] in words]
    return named or list(models.values())


def _line(scope: Scope) -> str:
    at = scope.stands_at
    nodes = (node for node in ast.walk(scope.body) if isinstance(node, ast.expr))
    return next((ast.unparse(node) for node in nodes if at == (node.lineno, node.col_offset)), "")


def _repeated(frames: Sequence[StackFrame], parameters: Sequence[tuple[str, nn.Parameter]]) -> Iterator[str]:
    """The parameters of a new group that an optimizer already has in another."""
    for frame in frames:
        optimizer, group = frame.local("self"), frame.local("param_group")
        if isinstance(optimizer, Optimizer) and isinstance(group, dict):
            known = {id(each) for other in optimizer.param_groups for each in other["params"]}
            twice = known & {id(each) for each in group.get("params", ())}
            yield from (name for name, parameter in parameters if id(parameter) in twice)
            return


def _found_in(scopes: Sequence[Scope], is_wanted: Callable[[ast.AST], bool]) -> list[Site]:
    """The places that do something in the files of the running code; where none does, in the user's other modules."""
    running = dict.fromkeys(scope.filename for scope in reversed(scopes))
    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    others = dict.fromkeys(file for file in modules if isinstance(file, str) and owner_of(file) is Owner.USER)
    found = [site for file in running for site in _found(file, is_wanted)]
    return found or [site for file in others for site in _found(file, is_wanted)]


def _found(file: str, is_wanted: Callable[[ast.AST], bool]) -> Iterator[Site]:
    """The places of a file that do something, in the order of their lines."""
    tree = tree_of(file)
    if tree is None:
        return
    functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt) and is_wanted(node)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        around = [each for each in functions if each.lineno <= node.lineno <= (each.end_lineno or 0)]
        name = max(around, key=lambda each: each.lineno).name if around else ""
        yield site_of_node(node, file, name)


def _freezes(node: ast.AST) -> bool:
    """Whether it is `x.requires_grad = ...` or `x.requires_grad_(...)`, unless what it sets is True."""
    match node:
        case ast.Assign(targets=[ast.Attribute(attr="requires_grad")], value=value):
            return not _is(value, wanted=True)
        case ast.Call(func=ast.Attribute(attr="requires_grad_"), args=[value]):
            return not _is(value, wanted=True)
    return False


def _switches_off(node: ast.AST) -> bool:
    """Whether it switches gradients off and leaves that to another to undo."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="set_grad_enabled"), args=[value])):
            return not _is(value, wanted=True)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Call(func=inner), attr="__enter__"))):
            return ast.unparse(inner).rpartition(".")[2] in ("no_grad", "inference_mode")
    return False


def _is(node: ast.expr, *, wanted: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is wanted

"""Which call failed below the user's line: of a layer, of a loss, or the function or operator in the line itself."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tensorcheck.calls import FailedCall, Operand, OtherValue, Setting
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import inherited_layer, leaves
from tensorcheck.observe.evaluating import UNKNOWN, Namespace, known_value, namespace_of
from tensorcheck.observe.expressions import function_of, parts_of
from tensorcheck.observe.frames import Owner, expression_at, site_of_node, spelled_arguments, tree_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.operands import operand_of
from tensorcheck.observe.other_values import is_other_value, other_value_of
from tensorcheck.observe.stack import StackFrame
from tensorcheck.sites import Site

MetaOf = Callable[[nn.Module], ModuleMeta]

_PLAIN = (bool, int, float, str, type(None), torch.device)


def failed_call(
    user: StackFrame, below: Sequence[StackFrame], meta_of: MetaOf, lineages: Lineages
) -> FailedCall | None:
    """The innermost layer or loss below the user's own line; where there is none, what the line itself calls."""
    calls = [frame for frame in below if frame.layer is not None or frame.loss]
    if not calls:
        call, owner = (
            _with_refused(_operation(user, lineages), user, below, lineages),
            _owner(user) or _lazy_owner(user),
        )
        return call if call is None or owner is None else replace(call, owner=meta_of(owner))
    failed = calls[-1]
    direct = next(frame for frame in below if frame.module is not None or frame.loss)
    is_direct = failed is direct or (failed.loss is not None and type(direct.layer).__name__.endswith("Loss"))
    node = expression_at(user.frame.f_code, user.instruction)
    spelled = dict(_with_elements(spelled_arguments(node, _names(direct))))
    whole = None if is_direct else _first_argument(node)
    outer = [] if is_direct else list(_tensors_given(direct, below))
    handed = {id(tensor): name for name, tensor in outer}
    given = _with_masks(_tensors_given(failed, below), outer)
    operands = tuple(_arguments(given, handed, spelled, whole, user, lineages))
    if failed.loss and is_direct and isinstance(node, ast.Call) and direct.module is not None:
        operands = tuple(_held(operands, _given(failed, below), direct.module, node.func, lineages))
    others = tuple(_others(failed, below, spelled if is_direct else {}, user, lineages))
    if failed.loss:
        settings = tuple(_settings(failed, below, spelled, user, lineages))
        return FailedCall(failed.loss, "loss", operands, settings, others=others)
    layer = failed.layer
    if layer is None:
        return None
    meta = _running(meta_of(layer), layer, failed)
    return FailedCall(meta.layer or meta.kind, "layer", operands, module=meta, others=others)


def _running(meta: ModuleMeta, layer: nn.Module, call: StackFrame) -> ModuleMeta:
    """A layer as it computes in this frame: a user's class may call the `forward` that it overrides."""
    return meta if meta.is_builtin else replace(meta, inherits=inherited_layer(type(layer), call.frame.f_code))


def _names(call: StackFrame) -> tuple[str, ...]:
    return call.parameters[1:] if call.module is not None else call.parameters


def _first_argument(node: ast.AST | None) -> ast.expr | None:
    return node.args[0] if isinstance(node, ast.Call) and node.args else None


def _with_elements(spelled: Mapping[str, ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    """The expressions, and those within what is written as a tuple: `state` of `lstm(x, (state, memory))`."""
    for name, node in spelled.items():
        yield name, node
        if isinstance(node, ast.Tuple | ast.List):
            yield from ((f"{name}[{index}]", element) for index, element in enumerate(node.elts))


def _tensors_given(call: StackFrame, below: Sequence[StackFrame]) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a call's arguments, by the names of its parameters and the ways into them."""
    values = _given(call, below)
    for name in _names(call):
        yield from leaves(values.get(name), name)


def _with_masks(
    given: Iterator[tuple[str, Tensor]], outer: Sequence[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a call; the masks of attention as they were handed over, for bools are made floats on the way."""
    for path, tensor in given:
        masks = [mask for name, mask in outer if _MASKS.get(path, "-") == re.sub(_WHOSE, "", name)]
        same = [mask for mask in masks if mask.shape == tensor.shape]
        yield path, same[0] if len(same) == 1 else tensor


_WHOSE = "^(src|tgt|memory)_"
_MASKS = {"attn_mask": "mask", "key_padding_mask": "key_padding_mask"}
"""What each mask of attention is called by the layers around it, but for whose mask it is."""


def _given(call: StackFrame, below: Sequence[StackFrame]) -> Mapping[str, object]:
    """What a call's parameters were given; `forward` may use their names for other tensors, as attention does."""
    above = [frame.frame for frame in below[: below.index(call)] if frame.owner is not Owner.OURS]
    caller = above[-1] if above else None
    if call.module is None or caller is None or caller.f_code.co_name not in ("_call_impl", "inner"):
        return call.frame.f_locals
    values = caller.f_locals
    return {**dict(zip(_names(call), values.get("args", ()), strict=False)), **values.get("kwargs", {})}


def _arguments(  # noqa: PLR0913, PLR0917 - where an operand came from takes all that is known of the call
    given: Iterator[tuple[str, Tensor]],
    handed: Mapping[int, str],
    spelled: Mapping[str, ast.expr],
    whole: ast.expr | None,
    user: StackFrame,
    lineages: Lineages,
) -> Iterator[Operand]:
    """What a layer or loss was given; what reached it through others began as the user's first argument."""
    for index, (path, tensor) in enumerate(given):
        outer = handed.get(id(tensor), "")
        node = spelled.get(path if whole is None else outer)
        operand = replace(operand_of(path, tensor, node, user, lineages), handed=outer)
        is_of_whole = whole is not None and index == 0 and not outer
        yield lineages.through(operand, whole) if whole is not None and is_of_whole else operand


def _held(
    operands: Sequence[Operand], given: Mapping[str, object], loss: nn.Module, node: ast.expr, lineages: Lineages
) -> Iterator[Operand]:
    """The operands of a loss; those that the loss itself holds, as the weights of its classes, as it was built."""
    held = dict(loss.named_buffers(recurse=False))
    for operand in operands:
        is_held = operand.name in held and held[operand.name] is given.get(operand.name)
        yield lineages.built_with(operand, loss, node) if is_held else operand


def _others(
    call: StackFrame, below: Sequence[StackFrame], spelled: Mapping[str, ast.expr], user: StackFrame, lineages: Lineages
) -> Iterator[OtherValue]:
    """What a layer or loss was given that is no tensor; of what it works on, numbers and None too."""
    values, names = _given(call, below), _names(call)
    for name in names:
        value = values.get(name)
        is_main = name in (*names[:1], "target")
        if name in values and not isinstance(value, Tensor) and (is_main or not _is_plain(value)):
            yield other_value_of(name, value, spelled.get(name), user, lineages)


def _settings(
    call: StackFrame, below: Sequence[StackFrame], spelled: Mapping[str, ast.expr], user: StackFrame, lineages: Lineages
) -> Iterator[Setting]:
    """The plain arguments of a loss: those that its user wrote, and those that it has by itself."""
    values = _given(call, below)
    for name in _names(call):
        value = values.get(name)
        if value is not None and _is_plain(value):
            yield _setting(name, value, spelled.get(name), user, lineages)


def _operation(user: StackFrame, lineages: Lineages) -> FailedCall | None:
    """The function, method or operator of the innermost expression that was being computed."""
    code = user.frame.f_code
    node = expression_at(code, user.instruction)
    assigned = assigned_to(node, code.co_filename)
    if isinstance(node, ast.Tuple | ast.List):
        node, assigned = assigned, None
    names = namespace_of(user.frame)
    parts = [*parts_of(node, names), *([("value", assigned)] if assigned is not None else [])]
    if node is None or not parts:
        return None
    is_method = any(name == "self" for name, _ in parts)
    operands, settings, others, unread = [], [], [], []
    for name, part in parts:
        value = known_value(part, names)
        found = [_read(each, given, user, lineages) for each, given in _tensors_of(part, value, names)]
        place = str(int(name) + is_method) if name.isdigit() else name
        operands += [replace(operand, place=place) for operand in found if isinstance(operand, Operand)]
        unread += [operand for operand in found if isinstance(operand, Site)]
        if not found and value is not UNKNOWN and _is_plain(value):
            settings.append(_setting(name, value, part, user, lineages))
        elif value is not UNKNOWN and is_other_value(value):
            others.append(other_value_of(name, value, part, user, lineages))
    return FailedCall(
        function_of(node, names),
        "operation",
        tuple(operands),
        tuple(settings),
        others=tuple(others),
        unread=tuple(unread),
    )


def _with_refused(
    call: FailedCall | None, user: StackFrame, below: Sequence[StackFrame], lineages: Lineages
) -> FailedCall | None:
    """The call, with the tensor that an optimizer refuses, which stands somewhere in what it was given."""
    adding = [
        frame for frame in below if frame.frame.f_code.co_name == "add_param_group" and frame.owner is Owner.TORCH
    ]
    tensor = adding[-1].local("param") if adding else None
    if call is None or call.operands or not isinstance(tensor, Tensor):
        return call
    code, names = user.frame.f_code, namespace_of(user.frame)
    node = _spelling(tensor, expression_at(code, user.instruction), names)
    return call if node is None else replace(call, operands=(operand_of("params", tensor, node, user, lineages),))


def _spelling(tensor: Tensor, within: ast.AST | None, names: Namespace) -> ast.expr | None:
    """The expression within another that is this tensor; else the variable that holds it."""
    parts = ast.walk(within) if within is not None else ()
    spelled = [part for part in parts if isinstance(part, ast.Name | ast.Attribute | ast.Subscript)]
    for part in spelled:
        if known_value(part, names) is tensor:
            return part
    held = next((name for name, value in names.items() if value is tensor), None)
    return _parsed(held, spelled[0]) if held is not None and spelled else None


def _owner(user: StackFrame) -> nn.Module | None:
    """The module that the user's expression asks for something: `model` of `model.to(device)`.

    One whose `__init__` did not call that of `nn.Module` is none yet.
    """
    node: ast.AST | None = expression_at(user.frame.f_code, user.instruction)
    names = namespace_of(user.frame)
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
        value = known_value(node, names)
        if isinstance(value, nn.Module):
            return value if "_parameters" in vars(value) else None
    return None


def _lazy_owner(user: StackFrame) -> nn.Module | None:
    """The lazy module of which the line hands a parameter on: `module` in `init.zeros_(module.bias)`."""
    node = expression_at(user.frame.f_code, user.instruction)
    given = node.args if isinstance(node, ast.Call) else []
    owners = (known_value(each.value, namespace_of(user.frame)) for each in given if isinstance(each, ast.Attribute))
    lazy = (owner for owner in owners if isinstance(owner, nn.modules.lazy.LazyModuleMixin))
    return next((owner for owner in lazy if isinstance(owner, nn.Module)), None)


def assigned_to(target: ast.AST | None, filename: str) -> ast.expr | None:
    """What a statement puts into a target, such as `batch` in `buffer[0:4] = batch`."""
    if not isinstance(target, ast.Subscript | ast.Attribute | ast.Tuple | ast.List) or isinstance(target.ctx, ast.Load):
        return None
    statements = (node for node in ast.walk(tree_of(filename) or ast.Module([], [])) if isinstance(node, ast.Assign))
    return next((node.value for node in statements if any(each is target for each in node.targets)), None)


def _read(node: ast.expr, tensor: Tensor | None, user: StackFrame, lineages: Lineages) -> Operand | Site:
    """An operand; of one whose value is gone and cannot be told, the place that spells it."""
    if tensor is not None:
        return operand_of(ast.unparse(node), tensor, node, user, lineages)
    meta = lineages.meta_of(node)
    code = user.frame.f_code
    site = site_of_node(node, code.co_filename, code.co_qualname)
    return site if meta is None else Operand(ast.unparse(node), meta, site, lineages.of(node, meta))


def _is_of_python(node: ast.expr, names: Namespace) -> bool:
    """Whether an expression calls what Python itself has, as `float("inf")` does, which gives no tensor."""
    return isinstance(node, ast.Call) and getattr(known_value(node.func, names), "__module__", "") == "builtins"


def _is_plain(value: object) -> bool:
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(part, _PLAIN) for part in parts)


def _setting(name: str, value: object, node: ast.expr | None, user: StackFrame, lineages: Lineages) -> Setting:
    code = user.frame.f_code
    value = value.item() if isinstance(value, np.generic) else value
    plain = str(value) if isinstance(value, torch.device) else tuple(value) if isinstance(value, list) else value
    site = site_of_node(node, code.co_filename, code.co_qualname) if node is not None else None
    return Setting(name, plain, site, lineages.of(node, None))


def _tensors_of(node: ast.expr, value: object, names: Namespace) -> Iterator[tuple[ast.expr, Tensor | None]]:
    """The tensors of one argument, each with its own expression where the argument is written as a list.

    None stands for what may have been a tensor and is gone.
    """
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from _tensors_of(element, known_value(element, names), names)
    elif isinstance(value, Tensor):
        yield node, value
    elif value is not UNKNOWN:
        for path, tensor in leaves(value, ast.unparse(node)):
            yield _parsed(path, node), tensor
    elif not isinstance(node, ast.Slice) and not _is_of_python(node, names):
        yield node, None


def _parsed(code: str, at: ast.expr) -> ast.expr:
    """The expression that reaches an element, placed where its container stands."""
    try:
        expression = ast.parse(code, mode="eval").body
    except SyntaxError:
        return at
    for part in ast.walk(expression):
        ast.copy_location(part, at)
    return expression

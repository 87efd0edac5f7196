"""From a `load_state_dict` that raised, or an optimizer's step after one, to what did not fit."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn, optim
from torch.optim import Optimizer

from tensorcheck.lineage import Step
from tensorcheck.observe.describe import module_meta, tensor_meta
from tensorcheck.observe.frames import Owner, expression_at, site_of_node, tree_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.samples import kind_of
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame
from tensorcheck.restoring import Entry, Groups, Restoring, WrongSize
from tensorcheck.sites import Site

_MOST = 12
"""Keys that are told of."""
_LIKE_THEIR_PARAMETER = frozenset(
    ["acc_delta", "exp_avg", "exp_avg_sq", "exp_inf", "grad_avg", "max_exp_avg_sq", "momentum_buffer", "square_avg"]
)
"""State of PyTorch's optimizers that has the shape of the parameter that it is of."""


def restoring_of(error: BaseException, frames: Sequence[StackFrame], lineages: Lineages) -> Restoring | None:
    """What was being restored; None where nothing was."""
    found = next((frame for frame in frames if _target(frame) is not None), None)
    if found is None:
        return None
    target = _target(found)
    given = found.local("state_dict")
    restoring: Restoring | None
    if isinstance(target, nn.Module):
        restoring = _of_model(target, given, lineages)
    elif found.frame.f_code.co_name == "load_state_dict":
        restoring = _of_optimizer(target, given)
    else:
        restoring = _of_step(target, error)
    user = next((frame for frame in reversed(frames[: frames.index(found)]) if frame.owner is Owner.USER), None)
    return restoring if restoring is None or user is None else _with_places(restoring, user, lineages)


def _target(frame: StackFrame) -> Any:  # noqa: ANN401 - a model, an optimizer or neither
    name = frame.frame.f_code.co_name
    if frame.owner is not Owner.TORCH or name not in ("load_state_dict", "step"):
        return None
    owner = frame.local("self")
    return owner if isinstance(owner, Optimizer) or (isinstance(owner, nn.Module) and name != "step") else None


def _of_model(model: nn.Module, given: object, lineages: Lineages) -> Restoring:
    restoring = Restoring(type(model).__name__, is_optimizer=False, given=kind_of(given))
    if not isinstance(given, Mapping):
        return restoring
    own = {key: value for key, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    missing, unexpected = [key for key in own if key not in given], [str(key) for key in given if key not in own]
    return replace(
        restoring,
        entries=tuple(_entry(str(key), value, own) for key, value in list(given.items())[:_MOST]),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        sizes=tuple(_sizes(model, own, given, lineages)),
        wanted=len(own),
        prefix=_prefix([str(key) for key in given], own),
        own_prefix=_prefix(list(own), given),
        not_tensors=tuple(
            Entry(key, kind_of(given[key])) for key in own if key in given and not isinstance(given[key], Tensor)
        ),
    )


def _entry(key: str, value: object, own: Mapping[str, object]) -> Entry:
    if isinstance(value, Tensor):
        return Entry(key, tensor_meta(value).notation)
    if isinstance(value, Mapping):
        tensors = sum(isinstance(each, Tensor) for each in value.values())
        shown = f"dict of {tensors} tensors" if tensors else f"dict of {len(value)}"
        return Entry(key, shown, fits=bool(own) and set(own) <= {_without_wrapper(str(each)) for each in value})
    plain = repr(value) if isinstance(value, bool | int | float | str | None) else kind_of(value)
    return Entry(key, plain if len(plain) <= _MOST * 2 else kind_of(value))


def _without_wrapper(key: str) -> str:
    return key.removeprefix("module.").removeprefix("_orig_mod.")


def _prefix(longer: Sequence[str], shorter: Mapping[str, object]) -> str:
    """What stands before each of the shorter keys among the longer ones; empty where that is not the difference."""
    if not shorter:
        return ""
    first = next(iter(shorter))
    ends = {key.removesuffix(first) for key in longer if key != first and key.endswith(f".{first}")}
    return next((start for start in sorted(ends) if all(f"{start}{key}" in longer for key in shorter)), "")


def _sizes(
    model: nn.Module, own: Mapping[str, Tensor], given: Mapping[Any, Any], lineages: Lineages
) -> Iterator[WrongSize]:
    for key, value in own.items():
        saved = given.get(key)
        if isinstance(saved, Tensor) and saved.shape != value.shape:
            path = key.rpartition(".")[0]
            layer = module_meta(model.get_submodule(path), path, _definition(model, path, lineages))
            made = lineages.of_settings(model, path, None) if path else {}
            yield WrongSize(key, tensor_meta(saved), tensor_meta(value), layer, made)


def _definition(model: nn.Module, path: str, lineages: Lineages) -> Site | None:
    return definition_site(model, path, lineages.scope) if path else None


def _of_optimizer(optimizer: Optimizer, given: object) -> Restoring:
    restoring = Restoring(type(optimizer).__name__, is_optimizer=True, given=kind_of(given))
    if not isinstance(given, Mapping):
        return restoring
    entries = tuple(
        replace(_entry(str(key), value, {}), fits=isinstance(value, Mapping) and "param_groups" in value)
        for key, value in list(given.items())[:_MOST]
    )
    saved = given.get("param_groups")
    return replace(
        restoring,
        entries=entries,
        saved_groups=_groups(saved) if isinstance(saved, Sequence) else None,
        own_groups=_groups(optimizer.param_groups),
    )


def _groups(groups: Sequence[Mapping[str, Any]]) -> Groups:
    return Groups(tuple(len(group.get("params", ())) for group in groups))


def _of_step(optimizer: Optimizer, error: BaseException) -> Restoring | None:
    """A step that failed because of what was loaded before: settings of another class, state of other sizes."""
    group = optimizer.param_groups[0] if optimizer.param_groups else {}
    lacks = tuple(name for name in optimizer.defaults if name not in group)
    sizes = tuple(_state_sizes(optimizer))
    restoring = Restoring(type(optimizer).__name__, is_optimizer=True, lacks=lacks, sizes=sizes)
    if isinstance(error, KeyError) and lacks:
        return replace(restoring, saved_kind=_kind_of_settings(group))
    return restoring if sizes and not isinstance(error, KeyError) else None


def _kind_of_settings(group: Mapping[str, Any]) -> str:
    """The optimizer of PyTorch whose settings these are."""
    kinds = [kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, Optimizer)]
    settings = {kind.__name__: _settings(kind) for kind in kinds if kind is not Optimizer}
    fitting = [(len(names), name) for name, names in settings.items() if names and names <= set(group)]
    best = max((count for count, _ in fitting), default=0)
    names = sorted(name for count, name in fitting if count == best)
    return names[0] if len(names) == 1 else ""


def _settings(kind: type[Optimizer]) -> set[str]:
    code = kind.__init__.__code__
    return set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {"self", "params"}


def _state_sizes(optimizer: Optimizer) -> Iterator[WrongSize]:
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            is_alike = name in _LIKE_THEIR_PARAMETER and isinstance(value, Tensor) and isinstance(parameter, Tensor)
            if is_alike and value.shape != parameter.shape:
                yield WrongSize(name, tensor_meta(value), tensor_meta(parameter))


def _with_places(restoring: Restoring, user: StackFrame, lineages: Lineages) -> Restoring:
    """What the user's line and file say."""
    node = expression_at(user.frame.f_code, user.instruction)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return restoring
    given = node.args[0] if node.args else next((word.value for word in node.keywords), None)
    is_load = node.func.attr == "load_state_dict"
    return replace(
        restoring,
        target=ast.unparse(node.func.value),
        spelled=ast.unparse(given) if given is not None and is_load else "",
        built=_maker(lineages, node.func.value, restoring.into),
        loaded=_maker(lineages, given, "load") if is_load else None,
        saved=_only_save(user.frame.f_code.co_filename) if is_load else None,
    )


def _maker(lineages: Lineages, node: ast.expr | None, called: str) -> Site | None:
    """Where a call of this function or class made it."""
    ancestors = lineages.of(node, None).ancestors
    found = [each for each in ancestors if each.function == called and each.step is not Step.SPELLED]
    found += [each for each in ancestors[1:] if each.function == called]
    return found[0].site if found else None


def saved_beside(frames: Sequence[StackFrame]) -> Site | None:
    """Where the file was saved that `torch.load` refuses, as far as the file of its caller shows it."""
    is_load = [frame.owner is Owner.TORCH and frame.frame.f_code.co_name == "load" for frame in frames]
    above = frames[: is_load.index(True)] if True in is_load else []
    user = next((frame for frame in reversed(above) if frame.owner is Owner.USER), None)
    return _only_save(user.frame.f_code.co_filename) if user is not None else None


def _only_save(filename: str) -> Site | None:
    """The call of `torch.save` in a file that has just one."""
    calls = [node for node in ast.walk(tree_of(filename) or ast.Module([], [])) if isinstance(node, ast.Call)]
    saves = [node for node in calls if isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "torch.save"]
    return site_of_node(saves[0], filename, "") if len(saves) == 1 else None

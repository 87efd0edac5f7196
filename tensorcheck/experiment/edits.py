"""What an edit does to a copied call: another operand, another setting, another layer."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tensorcheck.devices.scope import no_modes_but_ours
from tensorcheck.fixes import ChangeOperand, ChangeSetting, ChangeSource, Edit
from tensorcheck.observe.describe import leaves

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class CannotEditError(Exception):
    """The edit does not fit the call."""


def named(arguments: Arguments, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors among a call's arguments, by the names of its parameters and the ways into them."""
    values = {**dict(zip(names, arguments[0], strict=False)), **arguments[1]}
    return {path: tensor for name, value in values.items() for path, tensor in leaves(value, name)}


def with_operands(
    arguments: Arguments, edits: Sequence[Edit], operands: Mapping[str, Tensor], names: Sequence[str]
) -> Arguments:
    """The arguments with the edited operands in their places.

    Attention is often given one tensor three times: what goes by a parameter's name is replaced there alone.
    """
    changed: dict[str, object] = {}
    for edit in operand_edits(edits):
        if edit.operand not in operands:
            raise CannotEditError(edit.operand)
        changed[edit.operand] = _changed(changed.get(edit.operand, operands[edit.operand]), edit)
    args, kwargs = list(arguments[0]), dict(arguments[1])
    for operand, new in changed.items():
        parameter = re.split(r"[.\[]", operand)[0]
        places = {id(operands[operand]): new}
        if parameter in names[: len(args)]:
            args[names.index(parameter)] = _replaced(args[names.index(parameter)], places)
        elif parameter in kwargs:
            kwargs[parameter] = _replaced(kwargs[parameter], places)
        else:
            args, kwargs = _replaced(args, places), _replaced(kwargs, places)
    return tuple(args), kwargs


def with_settings(arguments: Arguments, edits: Sequence[Edit], names: Sequence[str]) -> Arguments:
    """The arguments with the edited settings; `names` are those that its positional arguments go by."""
    args, kwargs = list(arguments[0]), dict(arguments[1])
    for edit in setting_edits(edits):
        if edit.setting in names[: len(args)]:
            args[names.index(edit.setting)] = _resolved(edit.value)
        elif edit.setting.isdigit():
            raise CannotEditError(edit.setting)
        else:
            kwargs[edit.setting] = _resolved(edit.value)
    return tuple(args), kwargs


def operand_edits(edits: Sequence[Edit]) -> list[ChangeOperand]:
    """Those of operands."""
    return [edit for edit in edits if isinstance(edit, ChangeOperand)]


def source_edits(edits: Sequence[Edit]) -> list[ChangeSource]:
    """Those of where operands come from."""
    return [edit for edit in edits if isinstance(edit, ChangeSource)]


def at_the_call(edits: Sequence[Edit]) -> list[Edit]:
    """The same edits for a call that is given its operands just as they come: there the source is the operand."""
    return [
        ChangeOperand(edit.operand, edit.method, edit.arguments) if isinstance(edit, ChangeSource) else edit
        for edit in edits
    ]


def changed_at(arguments: Arguments, path: str, edit: ChangeSource) -> Arguments:
    """The arguments with what a way leads to changed."""
    old = next(tensor for way, tensor in leaves(list(arguments), "given") if way == path)
    places = {id(old): _changed(old, edit)}
    return tuple(_replaced(list(arguments[0]), places)), _replaced(arguments[1], places)


def setting_edits(edits: Sequence[Edit]) -> list[ChangeSetting]:
    """Those of settings."""
    return [edit for edit in edits if isinstance(edit, ChangeSetting)]


def _changed(value: object, edit: ChangeOperand | ChangeSource) -> object:
    return getattr(value, edit.method)(*map(_resolved, edit.arguments))


def _resolved(value: object) -> object:
    """A dtype is written as its name, for edits are plain data."""
    if isinstance(value, str) and value.startswith("torch."):
        return getattr(torch, value.removeprefix("torch."))
    return value


def _replaced(value: Any, changed: Mapping[int, object]) -> Any:  # noqa: ANN401 - arguments of any kind
    if isinstance(value, Tensor):
        return changed.get(id(value), value)
    if isinstance(value, dict):
        return {key: _replaced(child, changed) for key, child in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replaced(child, changed) for child in value))
    if isinstance(value, list | tuple):
        return type(value)(_replaced(child, changed) for child in value)
    return value


def built_together(model: nn.Module, path: str) -> list[nn.Module]:
    """The layer at this path, and those that one line built with it: a Transformer's are copies of each other."""
    parts, layer = path.split("."), model.get_submodule(path)
    for depth in range(len(parts)):
        whole = model.get_submodule(".".join(parts[:depth]))
        if type(whole).__module__ == "torch.nn.modules.transformer":
            return [each for each in whole.modules() if type(each) is type(layer) and _plain(each) == _plain(layer)]
    return [layer]


def _plain(layer: nn.Module) -> dict[str, object]:
    return {name: value for name, value in vars(layer).items() if isinstance(value, bool | int | float | str)}


def rebuilt(layer: nn.Module, edits: Sequence[Edit]) -> nn.Module:
    """One of PyTorch's layers, built once more with other settings, its parameters all zero."""
    changes = {edit.setting: _resolved(edit.value) for edit in setting_edits(edits)}
    if not type(layer).__module__.startswith("torch.nn.modules."):
        raise CannotEditError(type(layer).__name__)
    settings = dict(_settings(layer, changes))
    if not changes.keys() <= settings.keys():
        raise CannotEditError(*changes)
    with no_modes_but_ours():  # the guard does not see all that a constructor makes, and would refuse to fill it
        built = _built(layer, settings).train(layer.training)
    for module in built.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())
    return built


def _built(layer: nn.Module, settings: dict[str, object]) -> nn.Module:
    state = next(layer.parameters(), None)
    if state is None:
        return type(layer)(**settings)
    with _Undrawn():
        return type(layer)(**settings, device=state.device, dtype=state.dtype)


class _Undrawn(TorchFunctionMode):
    """Fills with zeros what would be drawn at random: that can take longer than all the rest."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call a function, or not."""
        if func in (Tensor.uniform_, Tensor.normal_):
            return args[0].zero_()
        return func(*args, **(kwargs or {}))


def _settings(layer: nn.Module, changes: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What a layer's constructor is to be given, the rest read back from its attributes.

    What was left to follow from a changed setting, as `kdim` is from `embed_dim`, follows it again.
    """
    held = vars(layer)
    for name, parameter in _constructor(layer).items():
        if name in changes:
            yield name, changes[name]
        elif name in ("bias", "add_bias_kv") and not isinstance(held.get(name), bool):
            wanted = "bias_k" if name == "add_bias_kv" else "bias"
            yield name, any(wanted in each and tensor is not None for each, tensor in held["_parameters"].items())
        elif name in held:
            follows = parameter.default is None and any(held[name] == held.get(changed) for changed in changes)
            yield name, None if follows else held[name]
        elif parameter.default is inspect.Parameter.empty:
            raise CannotEditError(name)


def _constructor(layer: nn.Module) -> dict[str, inspect.Parameter]:
    """The parameters of a layer's constructor; recurrent layers hand theirs on to the class that they share."""
    owner = nn.RNNBase if isinstance(layer, nn.RNNBase) else type(layer)
    parameters = dict(list(inspect.signature(owner.__init__).parameters.items())[1:])
    if isinstance(layer, nn.RNN):
        parameters["nonlinearity"] = parameters["mode"]
    left_out = ("mode", "device", "dtype") if isinstance(layer, nn.LSTM) else ("mode", "proj_size", "device", "dtype")
    return {name: each for name, each in parameters.items() if name not in left_out and not name.startswith("_")}


def put_in_place(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The model with one layer instead of another, wherever it holds it."""
    if model is old:
        return new
    for module in model.modules():
        for name, child in module._modules.items():  # noqa: SLF001 - the way to set one whatever its name
            if child is old:
                module._modules[name] = new  # noqa: SLF001 - likewise
    return model

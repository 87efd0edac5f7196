"""Modules, optimizers and what is loaded from, as titles and lines of a peek."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, RandomSampler

from tensorcheck.observe.describe import is_a
from tensorcheck.observe.peeked_tensors import Line, tensor_line
from tensorcheck.peeks import PeekRow

_Held = tuple[str, nn.Module, str, Tensor]
"""A dotted path, the module that has it, `parameter` or `buffer`, and the tensor."""


def module_title(module: nn.Module) -> str:
    """What it is, how much of it can be trained, and its mode."""
    tensors = {id(tensor): tensor for _, _, what, tensor in _held(module) if what == "parameter"}.values()
    sized = [tensor for tensor in tensors if not is_lazy(tensor)]
    elements, trained = (
        sum(tensor.numel() for tensor in some) for some in (sized, [tensor for tensor in sized if tensor.requires_grad])
    )
    share = "" if trained == elements else f", {trained:,} of them to be trained"
    mode = "training" if vars(module).get("training", True) else "eval"
    return f"{type(module).__name__}: {elements:,} parameters{share}, in {mode} mode"


def module_lines(module: nn.Module) -> Iterator[Line]:
    """Its parameters and buffers by their dotted paths; what two modules share has one line."""
    first: dict[int, str] = {}
    for path, owner, what, tensor in _held(module):
        shared = first.setdefault(id(tensor), path)
        kind = f"{type(owner).__name__} {what}"
        if shared == path:
            yield tensor_line(tensor, path, kind)
        else:
            yield Line(PeekRow(path, f"the same as {shared}", kind))


def _held(module: nn.Module, prefix: str = "", running: frozenset[int] = frozenset()) -> Iterator[_Held]:
    """Read from the dictionaries that a module keeps, so that no property of the user's is run."""
    own = vars(module)
    for what, key in (("parameter", "_parameters"), ("buffer", "_buffers")):
        for name, tensor in list(own.get(key, {}).items()):
            if is_a(tensor, Tensor):
                yield f"{prefix}{name}", module, what, tensor
    for name, child in list(own.get("_modules", {}).items()):
        if is_a(child, nn.Module) and id(child) not in running:
            yield from _held(child, f"{prefix}{name}.", running | {id(module)})


def optimizer_title(optimizer: Optimizer) -> str:
    """What it is and how much it holds."""
    groups, state = optimizer.param_groups, optimizer.state
    tensors = sum(len(group["params"]) for group in groups)
    return f"{type(optimizer).__name__}: {_counted(groups, 'group')}, {tensors} parameters, state of {len(state)}"


def _counted(things: Any, noun: str) -> str:  # noqa: ANN401 - anything with a length
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"


def optimizer_lines(optimizer: Optimizer) -> Iterator[Line]:
    """Its groups with their settings, and what it keeps for its parameters."""
    for place, group in enumerate(optimizer.param_groups):
        settings = [
            f"{name} {_plain(value)}"
            for name, value in group.items()
            if name != "params" and value is not None and value is not False
        ]
        sizes = sum(tensor.numel() for tensor in group["params"] if not is_lazy(tensor))
        held = f"{_counted(group['params'], 'tensor')} of {sizes:,} elements"
        yield Line(PeekRow(f"group {place}", held, notes=tuple(settings)))
    kept: dict[str, list[Any]] = defaultdict(list)
    for state in optimizer.state.values():
        for name, value in state.items():
            kept[str(name)].append(value)
    yield from (_state_line(name, values) for name, values in kept.items())


def _plain(value: object) -> str:
    if type(value) in (int, float, bool, str, tuple):
        return str(value)
    return type(value).__name__


def _state_line(name: str, values: list[Any]) -> Line:
    tensors = [value for value in values if is_a(value, Tensor)]
    elements = sum(tensor.numel() for tensor in tensors)
    dtypes = dict.fromkeys(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)
    of = f" of {elements:,} elements, {', '.join(dtypes)}" if tensors else ""
    what = _counted(tensors, "tensor") if tensors else _counted(values, type(values[0]).__name__)
    return Line(PeekRow(f"state {name}", what + of))


def loader_title(loader: DataLoader[Any]) -> str:
    """How it makes its batches; none is made."""
    batch = "no batches" if loader.batch_size is None else f"{loader.batch_size} samples a batch"
    order = "shuffled" if is_a(loader.sampler, RandomSampler) else "in order"
    own = "" if type(loader) is DataLoader else f" ({type(loader).__name__})"
    last = ", the last part dropped" if loader.drop_last else ""
    return (
        f"DataLoader{own} of {dataset_title(loader.dataset)}: {batch}, {order}{last}, "
        f"{_counted(range(loader.num_workers), 'worker')}"
    )


def dataset_title(dataset: Dataset[Any]) -> str:
    """Its class and, where it knows that, its length."""
    try:
        length = f" with {len(dataset):,} samples"  # type: ignore[arg-type] # one without a length raises
    except Exception:  # noqa: BLE001 - whatever a user's `__len__` does
        length = ""
    return f"{type(dataset).__name__}{length}"

"""From the frames below a DataLoader, a sampler, a dataset or a split that could not be built to what it was given.

A loop that unpacks another number of fields than a batch has is told of here too: nothing of PyTorch runs then.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from torch.utils.data import DataLoader, Sampler, TensorDataset

from tensorcheck.lineage import Lineage, Step
from tensorcheck.loading import Loading
from tensorcheck.observe.branches import results
from tensorcheck.observe.datasets import innermost, loaded_by, sample_function
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import Owner, position_of, tree_of
from tensorcheck.observe.known_datasets import known_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.scopes import called_name
from tensorcheck.observe.stack import StackFrame


def construction_of(error: BaseException, frames: Sequence[StackFrame]) -> Loading | None:
    """What could not be built or unpacked; None where neither is what failed."""
    below = [frame for frame in frames if frame.owner is Owner.TORCH]
    for frame in below:
        found = _in_frame(frame)
        if found is not None:
            return found
    last = frames[-1] if frames else None
    if last is None or last.owner is not Owner.USER or "values to unpack" not in str(error):
        return None
    return _unpacking(last, Lineages(frames))


def _in_frame(frame: StackFrame) -> Loading | None:
    name = frame.frame.f_code.co_name
    if name == "random_split":
        return _of_split(frame.local("dataset"), frame.local("lengths"))
    owner = frame.local("self") if name == "__init__" else None
    if isinstance(owner, TensorDataset):
        tensors = frame.local("tensors")
        columns = tensors if isinstance(tensors, tuple) else ()
        return Loading("columns", "TensorDataset", columns=tuple(tensor_meta(each) for each in columns))
    if isinstance(owner, DataLoader):
        return known_of("settings", frame.local("dataset"))
    if isinstance(owner, Sampler):
        return known_of("settings", frame.local("data_source"))
    return None


def _of_split(dataset: Any, lengths: Any) -> Loading:  # noqa: ANN401 - what a user gave
    loading = known_of("split", dataset)
    plain = [each for each in lengths if isinstance(each, int | float)] if isinstance(lengths, Sequence) else []
    return Loading("split", loading.dataset, length=loading.length, lengths=tuple(plain))


def _unpacking(user: StackFrame, lineages: Lineages) -> Loading | None:
    """A batch that a line takes apart into another number of names than it has fields."""
    target, value = next(_taken_apart(user), (None, None))
    if target is None or value is None:
        return None
    lineage = lineages.of(value, None)
    names = namespace_of(user.frame)
    known = _known(value, names)
    loaded = loaded_by(known)
    is_batch = isinstance(known, list | tuple | dict) and any(
        each.step is Step.LOADED for each in lineage.ancestors[:2]
    )
    if loaded is None and not is_batch and not _is_of_loader(lineage) and not _builds_loader(value, names):
        return None
    unpacked = tuple(ast.unparse(each) for each in target.elts)
    built = next((each.site for each in lineage.ancestors if each.function == "DataLoader"), None)
    dataset = loaded.dataset if loaded is not None and loaded.collate is None else None
    return Loading(
        "unpacking",
        type(innermost(dataset)).__name__ if dataset is not None else "",
        unpacked=unpacked,
        fields=tuple(_fields(known, dataset)),
        item_site=known_of("unpacking", dataset).item_site if dataset is not None else None,
        built=built,
    )


def _known(node: ast.expr, names: Namespace) -> object:
    """What an expression is worth, or what the iterator that it makes goes over; None where that is not known."""
    if isinstance(node, ast.Call) and called_name(node) in _PASSING_ON and node.args:
        inner = _known(node.args[0], names)
        return inner if loaded_by(inner) is not None else None
    with suppress(UnknownValueError):
        return evaluate(node, names)
    return None


def _is_of_loader(lineage: Lineage) -> bool:
    """Whether the first call in it builds a loader or hands out its batches."""
    calls = [each.function for each in lineage.ancestors if each.function]
    return next((call == "DataLoader" for call in calls if call not in _PASSING_ON), False)


def _builds_loader(node: ast.expr, names: Namespace) -> bool:
    """Whether an expression is itself the construction of a loader, or of an iterator over one."""
    if not isinstance(node, ast.Call):
        return False
    if called_name(node) in _PASSING_ON:
        return bool(node.args) and _builds_loader(node.args[0], names)
    with suppress(UnknownValueError):
        called = evaluate(node.func, names)
        return isinstance(called, type) and issubclass(called, DataLoader)
    return False


_PASSING_ON = ("next", "iter", "enumerate", "tqdm")


def _taken_apart(user: StackFrame) -> Iterator[tuple[ast.Tuple | ast.List, ast.expr]]:
    """The names that the line gives, and the expression that it takes apart for them."""
    code = user.frame.f_code
    line, _, column, _ = position_of(code, user.instruction)
    for node in ast.walk(tree_of(code.co_filename) or ast.Module([], [])):
        for targets, value in _given(node):
            for part in (part for target in targets for part in ast.walk(target)):
                if isinstance(part, ast.Tuple | ast.List) and (part.lineno, part.col_offset) == (line, column):
                    yield part, value


def _given(node: ast.AST) -> Iterator[tuple[list[ast.expr], ast.expr]]:
    if isinstance(node, ast.For):
        yield [node.target], node.iter
    elif isinstance(node, ast.Assign):
        yield node.targets, node.value


def _fields(known: object, dataset: object) -> Iterator[str]:
    """What a batch holds, as far as its value or the dataset's source shows it."""
    if isinstance(known, list | tuple | dict):
        yield from (repr(each) if isinstance(known, dict) else f"[{place}]" for place, each in enumerate(known))
    elif isinstance(inner := innermost(dataset), TensorDataset):
        yield from (f"[{place}]" for place in range(len(inner.tensors)))
    elif dataset is not None and (function := sample_function(dataset)) is not None:
        scope = scope_of(function, innermost(dataset))
        nodes = [node for node, _ in results(scope)] if scope is not None else []
        if len(nodes) == 1 and isinstance(nodes[0], ast.Tuple):
            yield from (ast.unparse(each) for each in nodes[0].elts)

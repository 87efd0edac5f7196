"""Which small edits make one shape of another, as fixes that a rule can propose."""

import ast
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from tensorcheck.calls import Operand
from tensorcheck.findings import Related
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.lineage import Ancestor, Guilty, Lineage, Step
from tensorcheck.lineage_wording import made

Shape = tuple[int, ...]


def reshapings(operand: Operand, wanted: Sequence[int]) -> Iterator[Fix]:
    """The edits after which an operand has the shape that is wanted, the likeliest first; none where it is not spelled.

    >>> from tensorcheck.sites import Site
    >>> from tensorcheck.tensors import TensorMeta
    >>> labels = Operand("target", TensorMeta((8, 1), "int64", "cpu"), Site("train.py", 4, code="labels"))
    >>> [fix.help for fix in reshapings(labels, (8,))]
    ['labels.squeeze(1)', 'labels.reshape(8)']
    """
    if operand.site is None:
        return
    for method, arguments in _methods(operand.meta.shape, tuple(wanted)):
        yield _fix(operand, method, arguments)


def refits(operand: Operand, fits: Callable[[Shape], bool], *, flattening: bool = True) -> Iterator[Fix]:
    """The edits after which an operand's shape fits, the likeliest first; none where it is not spelled.

    Almost everything fits once it is flattened, so that says little where only the number of dims was wrong.

    >>> from tensorcheck.sites import Site
    >>> from tensorcheck.tensors import TensorMeta
    >>> images = Operand("input", TensorMeta((8, 28, 32, 3), "float32", "cpu"), Site("train.py", 4, code="images"))
    >>> [fix.help for fix in refits(images, lambda shape: shape[1:] == (3, 28, 32))]
    ['images.permute(0, 3, 1, 2)']
    """
    if operand.site is not None:
        for method, arguments, shape in _edits(operand):
            if fits(shape) and (flattening or method != "flatten"):
                yield _fix(operand, method, arguments)


def reordered(operand: Operand, order: Shape) -> Iterator[Fix]:
    """The edit that puts an operand's dims in another order; none where it is not spelled."""
    moved = [dim for dim, source in enumerate(order) if dim != source]
    if operand.site is not None and len(moved) == _FLAT:
        yield _fix(operand, "transpose", tuple(moved))
    elif operand.site is not None:
        yield _fix(operand, "permute", order)


def kept(shape: Shape) -> Guilty:
    """Whether a tensor had a shape's dims already: all of them, or the first, or those of one sample.

    >>> from tensorcheck.tensors import TensorMeta
    >>> [kept((64, 1, 8))(TensorMeta(sizes, "float32", "cpu")) for sizes in ((64, 1), (1,), (64,), (8, 1))]
    [True, True, False, False]
    """
    batches = {shape[:count] for count in range(min(_FLAT, len(shape)), len(shape) + 1)}
    samples = {shape[1:count] for count in range(_FLAT, len(shape) + 1)}
    return lambda meta: meta.shape in batches | samples


_KEEPING = frozenset(
    [
        "Flatten",
        "Identity",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "AlphaDropout",
        "ReLU",
        "LeakyReLU",
        "ReLU6",
        "PReLU",
        "ELU",
        "SELU",
        "CELU",
        "GELU",
        "SiLU",
        "Mish",
        "Sigmoid",
        "Tanh",
        "Softmax",
        "LogSoftmax",
        "Softplus",
        "Hardtanh",
        "BatchNorm1d",
        "BatchNorm2d",
        "BatchNorm3d",
        "LayerNorm",
        "GroupNorm",
    ]
)
"""Layers that give as many features as they are given, or all that there are."""


def sizing_layer(lineage: Lineage) -> Ancestor | None:
    """The last layer on the way to a value that had a say in its size.

    >>> from tensorcheck.lineage import Step
    >>> flat = Ancestor(Step.LAYER, "flat", None, function="Flatten")
    >>> layer = sizing_layer(Lineage((flat, Ancestor(Step.LAYER, "fc", None, function="Linear"))))
    >>> layer.name if layer is not None else ""
    'fc'
    """
    return next((layer for layer in lineage.layers() if layer.function not in _KEEPING), None)


def sized(lineage: Lineage) -> Iterator[Related]:
    """Where that layer was built, and where the number was written that gives it its size, if that has a name.

    >>> list(sized(Lineage()))
    []
    """
    layer = sizing_layer(lineage)
    if layer is None or layer.site is None:
        return
    yield Related(layer.site, f"`{layer.name}`, which it went through, is built here")
    name = _output_size(layer.site.code)
    for number in (lineage.ancestors[parent] for parent in layer.parents):
        given = [lineage.ancestors[parent] for parent in number.parents] if name and number.name == name else []
        for each in given[:1]:
            if each.site is not None and each.step is Step.ASSIGNED:
                yield Related(each.site, f"`{name}` gives `{layer.name}` its size")


_OUTPUT_SIZES = ("out_features", "out_channels", "hidden_size", "embedding_dim")


def _output_size(code: str) -> str:
    """How the construction of a layer spells the size of what it gives: `width` of `nn.Linear(8, width)`."""
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError:
        return ""
    if not isinstance(node, ast.Call):
        return ""
    named = [word.value for word in node.keywords if word.arg in _OUTPUT_SIZES]
    return next((ast.unparse(each) for each in (*named, *node.args[1:2])), "")


def came(operand: Operand) -> Iterator[Related]:
    """Where an operand got its dims, and where the last layer was built that it went through.

    >>> from tensorcheck.tensors import TensorMeta
    >>> list(came(Operand("rows", TensorMeta((8, 4), "float32", "cpu"))))
    []
    """
    shape = operand.meta.shape
    yield from made(operand, kept(shape), str(list(shape)))
    yield from sized(operand.lineage)


def _edits(operand: Operand) -> Iterator[tuple[str, tuple[object, ...], Shape]]:
    """The usual changes of a shape: a dim more, a dim less, two swapped, one moved, some flattened, an image of one."""
    shape = operand.meta.shape
    dims = range(len(shape))
    for dim in (*dims, len(shape)):
        yield "unsqueeze", (dim,), (*shape[:dim], 1, *shape[dim:])
    for dim in dims:
        if shape[dim] == 1:
            yield "squeeze", (dim,), shape[:dim] + shape[dim + 1 :]
    for first, second in itertools.combinations(dims, 2):
        yield "transpose", (first, second), _swapped(shape, first, second)
    for source, target in itertools.permutations(dims, 2):
        if abs(source - target) > 1:
            order = _moved(len(shape), source, target)
            yield "permute", order, tuple(shape[dim] for dim in order)
    if len(shape) > _FLAT:
        yield "flatten", (1,), (shape[0], math.prod(shape[1:]))
        yield "flatten", (2,), (*shape[:2], math.prod(shape[2:]))
        yield "flatten", (0, 1), (shape[0] * shape[1], *shape[2:])
    if len(shape) == _FLAT:
        yield "unflatten", (1, (-1, 1, 1)), (*shape, 1, 1)
        yield "unflatten", (0, (-1, 1, 1)), (shape[0], 1, 1, shape[1])
        yield "reshape", (1, 1, *shape), (1, 1, *shape)


_FLAT = 2


def _moved(rank: int, source: int, target: int) -> tuple[int, ...]:
    order = [dim for dim in range(rank) if dim != source]
    return (*order[:target], source, *order[target:])


def _fix(operand: Operand, method: str, arguments: tuple[object, ...]) -> Fix:
    written = ", ".join(map(str, arguments))
    return Fix(f"{enclosed(operand.spelled)}.{method}({written})", (ChangeOperand(operand.name, method, arguments),))


def _methods(shape: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    if shape == wanted or math.prod(shape) != math.prod(wanted):
        return
    for dim, size in enumerate(shape):
        if size == 1 and shape[:dim] + shape[dim + 1 :] == wanted:
            yield "squeeze", (dim,)
    for dim, size in enumerate(wanted):
        if size == 1 and wanted[:dim] + wanted[dim + 1 :] == shape:
            yield "unsqueeze", (dim,)
    for first, second in itertools.combinations(range(len(shape)), 2):
        if _swapped(shape, first, second) == wanted:
            yield "transpose", (first, second)
    yield "reshape", wanted


def _swapped(shape: tuple[int, ...], first: int, second: int) -> tuple[int, ...]:
    sizes = list(shape)
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return tuple(sizes)


def enclosed(code: str) -> str:
    """An expression in a form that a method can be called on.

    >>> enclosed("labels[0]"), enclosed("labels - 1")
    ('labels[0]', '(labels - 1)')
    """
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError:
        return code
    return code if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call) else f"({code})"

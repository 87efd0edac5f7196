"""What a loss is fed with: the function that its input came out of last, read from autograd's graph.

The graph is there in every step, costs nothing to look at, and tells a softmax by its node, however it was spelled.
Only names and numbers of nodes are read: a saved tensor is handed out by the hooks of whoever saved it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tensorcheck.events.backward import Fed
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.raw_steps import GraphNode
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import standing
from tensorcheck.sites import Site
from tensorcheck.trace import Operation

_FUNCTIONS = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
    "ReluBackward0": "relu",
    "ClampBackward1": "clamp",
    "AddmmBackward0": "linear",
    "MmBackward0": "linear",
    "ConvolutionBackward0": "conv",
}
_NORMS = {
    "NativeBatchNormBackward0": "norm",
    "CudnnBatchNormBackward0": "norm",
    "NativeLayerNormBackward0": "norm",
    "NativeGroupNormBackward0": "norm",
}
_VIEWS = frozenset(
    {
        *("AliasBackward0", "CloneBackward0", "ExpandBackward0", "GatherBackward0", "IndexBackward0"),
        *("IndexSelectBackward0", "MaskedSelectBackward0", "PermuteBackward0", "ReshapeAliasBackward0"),
        *("SelectBackward0", "SliceBackward0", "SplitBackward0", "SqueezeBackward0", "SqueezeBackward1"),
        *("SqueezeBackward2", "TBackward0", "ToCopyBackward0", "TransposeBackward0", "UnbindBackward0"),
        *("UnsafeViewBackward0", "UnsqueezeBackward0", "ViewBackward0"),
    }
)
"""What takes some of a tensor's elements, or shows them in another form."""
_SCALINGS = frozenset({"DivBackward0", "MulBackward0", "NativeDropoutBackward0"})
_LAYERS = {"linear": ("linear",), "conv": ("conv1d", "conv2d", "conv3d")}
"""What may have made such a node, where that was traced: a product with a matrix of constants is no layer."""
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class _Found:
    """A node of the graph, by the function that made it, and whether its result was scaled after."""

    function: str
    node: Any
    maker: Operation | None
    is_scaled: bool


def fed(tensor: Tensor, sink: Sink) -> Fed | None:
    """The function that a tensor came out of last, but for what keeps its values as they are; None if it is no such."""
    last = _last(tensor.grad_fn, sink)
    if last is None:
        return None
    earlier = _last(next(_inputs(last.node), None), sink, others=_NORMS)
    maker = last.maker
    return Fed(
        by=last.function,
        before=earlier.function if earlier is not None else "",
        is_scaled=last.is_scaled,
        site=maker.site if maker is not None else None,
        module=maker.module if maker is not None else "",
        kind=maker.kind if maker is not None else "",
        built=_built(maker, sink) if maker is not None and maker.kind in _OWN_LAYERS else None,
    )


_OWN_LAYERS = ("Softmax", "LogSoftmax", "Sigmoid", "ReLU")


def _last(node: Any, sink: Sink, others: dict[str, str] | None = None) -> _Found | None:  # noqa: ANN401 - autograd's node
    is_scaled = False
    for _ in range(_DEEPEST):
        if node is None:
            return None
        name, maker = node.name(), _maker(node, sink)
        function = {**_FUNCTIONS, **(others or {})}.get(name)
        if function is not None:
            is_layer = maker is None or function not in _LAYERS or maker.name in _LAYERS[function]
            return _Found(function, node, maker, is_scaled) if is_layer else None
        if name in _SCALINGS:
            if not _is_scaling(name, maker):
                return None
            is_scaled = is_scaled or (name == "MulBackward0" and maker is not None and maker.name != "dropout")
        elif name not in _VIEWS:
            return None
        node = next(_inputs(node), None)
    return None


def _is_scaling(name: str, maker: Operation | None) -> bool:
    """Whether a product is one with a plain number, or a dropout, as far as that was traced."""
    if name == "NativeDropoutBackward0":
        return True
    return maker is not None and (len(maker.inputs) == 1 or maker.name == "dropout")


def _inputs(node: Any) -> Iterator[Any]:  # noqa: ANN401 - likewise
    """The nodes that one was given, of which the first is that of the tensor itself; of a layer those of its input."""
    found = [each for each, _ in node.next_functions if each is not None]
    is_weight = [len(found) > 1 and each.name() in _OF_WEIGHTS for each in found]
    return (each for each, is_one in zip(found, is_weight, strict=True) if not is_one)


_OF_WEIGHTS = ("torch::autograd::AccumulateGrad", "TBackward0")


def _maker(node: Any, sink: Sink) -> Operation | None:  # noqa: ANN401 - likewise
    number = getattr(node, "_sequence_nr", None)
    if number is None:
        return None
    return sink.tracing.recorder.maker_of(GraphNode(node.name(), number()), sink.sites)


def _built(maker: Operation, sink: Sink) -> Site | None:
    """Where the layer was built, if it is one of a watched model."""
    for subject in sink.subjects:
        model = subject.model()
        layer = model.get_submodule(maker.module) if model is not None and maker.module in _paths(model) else None
        if model is not None and type(layer).__name__ == maker.kind:
            with standing() as frames:
                return definition_site(model, maker.module, Lineages(frames).scope)
    return None


def _paths(model: nn.Module) -> frozenset[str]:
    return frozenset(path for path, _ in model.named_modules())

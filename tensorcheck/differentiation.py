"""What stood in the way of a backward pass, as plain facts: the graph that it went through, and what held parts of it.

Autograd keeps its graph until the loss is gone, so that it can be read after a crash, with nothing watching: which
nodes have given up what they saved, and which of them saved a tensor that was written to later. What made a node is
known where it was traced, and of a tensor that a variable still holds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta

_ALIASES = {
    "addmm": ("linear", "addmm"),
    "mm": ("linear", "mm", "matmul", "matmult"),
    "bmm": ("bmm", "matmul", "matmult"),
    "pow": ("pow", "square"),
    "mul": ("mul", "mult"),
    "div": ("div", "truediv"),
    "convolution": ("conv1d", "conv2d", "conv3d"),
    "nativebatchnorm": ("batch_norm",),
    "nativelayernorm": ("layer_norm",),
    "mseloss": ("mse_loss",),
}
"""Nodes of autograd and the functions of PyTorch that make them, where the names differ."""


@dataclass(frozen=True, slots=True)
class Held:
    """A variable, attribute or parameter that holds a tensor, and the statement that put it there, if it is known.

    >>> Held("fake").name
    'fake'
    """

    name: str
    site: Site | None = None
    is_parameter: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node of autograd's graph.

    >>> Node("ExpBackward0").functions, Node("PowBackward0").functions
    (('exp',), ('pow', 'square'))
    """

    kind: str
    """Its name in autograd: `ExpBackward0`."""
    made: Site | None = None
    """The user's line that made it, where it was traced or anomaly detection was on."""
    module: str = ""
    """The dotted path of the module that it was made in, where it was traced."""
    layer: str = ""
    """The class of that module."""

    @property
    def functions(self) -> tuple[str, ...]:
        """What functions of PyTorch make such a node."""
        name = re.sub(r"Backward\d*$", "", self.kind).lower()
        return _ALIASES.get(name, (name,))


@dataclass(frozen=True, slots=True)
class EarlierUse:
    """A `backward` in a function that was called before and was given a tensor that the failing one needs.

    >>> EarlierUse("fake", Site("gan.py", 8, code="judge(fake)"), Site("gan.py", 9, code="loss.backward()")).detached
    'judge(fake.detach())'
    """

    name: str
    """What the tensor is called there."""
    use: Site
    """The first call there that takes it."""
    backward: Site

    @property
    def detached(self) -> str:
        """That call with the tensor detached."""
        return re.sub(rf"(?<=[(\s,=]){self.name}(?=[,)\s])", f"{self.name}.detach()", self.use.code, count=1)


@dataclass(frozen=True, slots=True)
class Used:
    """The part of the graph that an earlier backward went through and freed."""

    nodes: tuple[Node, ...]
    """Its nodes that come first on the way from the loss."""
    is_whole: bool
    """Whether it is all of the graph."""
    held: tuple[Held, ...] = ()
    """What still holds a tensor at its edge."""
    carried: tuple[Held, ...] = ()
    """What one round of a loop, or one call of the model, hands on to the next, and that leads there."""
    earlier: tuple[Site, ...] = ()
    """Other calls of `backward` in the running code, in the order of their lines."""
    elsewhere: tuple[EarlierUse, ...] = ()
    """Those in functions that the running code has called before."""


@dataclass(frozen=True, slots=True)
class Write:
    """A place that changes a tensor in place."""

    site: Site
    function: str
    """What does it: `step`, `add_`, `__setitem__`, `relu`."""
    module: str = ""
    """The dotted path of the module in which it does so."""
    layer: str = ""
    """The class of that module."""
    is_certain: bool = False
    """Whether it was seen to do so; else it is what the source shows."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """A tensor that was saved for the backward pass and then changed in place."""

    saver: Node
    saved: TensorMeta
    held: tuple[Held, ...] = ()
    """What still holds a tensor of the same memory."""
    writes: tuple[Write, ...] = ()
    """Where it was changed, likeliest first."""


@dataclass(frozen=True, slots=True)
class CustomFunction:
    """A `torch.autograd.Function` of the user's in the graph.

    >>> CustomFunction("Scale", gradients=2).name
    'Scale'
    """

    name: str
    gradients: int
    """How many arguments its `forward` takes, so many gradients its `backward` has to return."""
    forward: Site | None = None
    backward: Site | None = None
    """What its `backward` returns, or its first line."""


@dataclass(frozen=True, slots=True)
class Differentiation:
    """The graph of what was to be differentiated."""

    used: Used | None = None
    overwritten: Overwritten | None = None
    custom: tuple[CustomFunction, ...] = ()


@dataclass(frozen=True, slots=True)
class Trainable:
    """What of the models at hand could be trained, and what in the user's files keeps gradients away.

    >>> Trainable(wanted=("head.weight",), frozen=("conv.weight",)).parameters
    2
    """

    wanted: tuple[str, ...] = ()
    """The dotted paths of the parameters that require a gradient, in the order of `parameters()`."""
    frozen: tuple[str, ...] = ()
    """Those of the parameters that do not."""
    freezing: tuple[Site, ...] = ()
    """Statements of the user's that set `requires_grad` to something else than True."""
    repeated: tuple[str, ...] = ()
    """Those of the parameters that an optimizer was given a second time."""
    is_grad_enabled: bool = True
    """Whether gradients were recorded when it crashed."""
    switching_off: tuple[Site, ...] = ()
    """Statements of the user's that switch gradients off for all that follows, such as `set_grad_enabled(False)`."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""

    @property
    def parameters(self) -> int:
        """How many parameters there are."""
        return len(self.wanted) + len(self.frozen)

"""A call that failed, as plain facts: what it was given, and where each of these came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tensorcheck.lineage import Lineage
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a call was given, and what its user's source says of it.

    >>> Operand("input", TensorMeta((8, 4), "float32", "cpu")).spelled
    'input'
    """

    name: str
    """The parameter that took it (`input`, `target`); of an operation, the expression that it is in the user's line."""
    meta: TensorMeta
    site: Site | None = None
    """Where the user's own line spells it, if that line makes the call directly."""
    lineage: Lineage = field(default_factory=Lineage)
    """Where it came from; the operand itself is the first."""
    low: int | None = None
    """The least value of an integer tensor on the CPU, which is read only after a crash."""
    high: int | None = None
    """The greatest."""
    is_contiguous: bool = True
    grad_fn: str = ""
    """What made it, in the words of autograd: `AddmmBackward0`; empty for a leaf."""
    is_inference: bool = False
    """Whether it was made in inference mode."""
    handed: str = ""
    """The parameter of the module in the user's line that took it, where a layer within that module failed."""
    place: str = ""
    """Of an operation's operand, what took it: `self` what stands before the dot or bracket, a keyword, or a position,
    counted from there: in `x.gather(1, i)` and in `torch.gather(x, 1, i)` alike `i` is 2."""

    @property
    def spelled(self) -> str:
        """How the user writes it; the parameter's name where that is not known."""
        return self.site.code if self.site is not None else self.name


@dataclass(frozen=True, slots=True)
class Setting:
    """A plain argument of a call, such as a size, a dim or a flag: no tensor."""

    name: str
    """The keyword or the parameter that took it; its position as a number where no name is known."""
    value: object
    """A number, a string, None or a tuple of these."""
    site: Site | None = None
    """Where the user's line spells it."""
    lineage: Lineage = field(default_factory=Lineage)


@dataclass(frozen=True, slots=True)
class OtherValue:
    """What a call was given that is neither a tensor nor a plain setting: a list, an array, a batch, None.

    >>> OtherValue("input", "tuple", parts=(NamedTensor("input[0]", TensorMeta((8, 4), "float32", "cpu")),)).spelled
    'input'
    """

    name: str
    """The parameter that took it; of an operation, its place as operands have it."""
    kind: str
    """Its class as PyTorch writes it: `tuple`, `numpy.ndarray`, `NoneType`."""
    parts: tuple[NamedTensor, ...] = ()
    """The tensors in it."""
    meta: TensorMeta | None = None
    """What it is, of a NumPy array."""
    site: Site | None = None
    """Where the user's line spells it."""
    lineage: Lineage = field(default_factory=Lineage)

    @property
    def spelled(self) -> str:
        """How the user writes it; the parameter's name where that is not known."""
        return self.site.code if self.site is not None else self.name


Quality = Literal["dtype", "device"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A place in the user's source that made a layer's weights what they are: of one dtype, or on one device.

    >>> Cause("conversion", "dtype", "net", "bfloat16", Site("train.py", 9, code="net.bfloat16()")).is_likely
    False
    """

    kind: Literal["conversion", "default", "context", "unregistered", "emptied", "copied"]
    """A module was converted in place; a default was set; it was built within `with torch.device(...)`; a plain list
    or dictionary holds it, so that what is done to the model does not reach it; another part of the model was given
    memory, and this was not; or a state was copied into tensors on meta, which keep no values."""
    quality: Quality
    name: str
    """How its user writes the module that was converted, or what holds it: `self.net`, `self.blocks`."""
    value: str
    """The dtype or device that follows from it; of what is unregistered, that which the model's own weights have."""
    site: Site
    is_likely: bool = False
    """Whether it fits, but is not known to have run."""
    is_copy_meant: bool = False
    """Whether its result is used as if it were another module: `small = net.bfloat16()`."""


CallKind = Literal["layer", "loss", "operation"]


@dataclass(frozen=True, slots=True)
class FailedCall:
    """The call that raised: of a layer of `torch.nn`, of a loss, or of any other function, method or operator.

    >>> call = FailedCall("cat", "operation", (Operand("rows", TensorMeta((8, 4), "float32", "cpu")),))
    >>> call.operand("target") is None, call.first.name
    (True, 'rows')
    """

    function: str
    """A layer's class (`Linear`), a loss's name in `torch.nn.functional` (`cross_entropy`), a function's or method's
    name (`cat`, `view`), or of an operator its name in `operator` (`add`, `matmul`, `getitem`)."""
    kind: CallKind
    operands: tuple[Operand, ...] = ()
    """The tensors that came in; of an operation, those that the user's line spells and that could be read."""
    settings: tuple[Setting, ...] = ()
    """What else came in, of an operation or a loss."""
    module: ModuleMeta | None = None
    """The layer; None for anything else."""
    owner: ModuleMeta | None = None
    """Of an operation, the module that the user's expression asks for it: `model` of `model.to(device)`."""
    others: tuple[OtherValue, ...] = ()
    """What it was given besides."""
    unread: tuple[Site, ...] = ()
    """Of an operation, the parts that the user's line spells but whose values are gone: `self.fc(x)`."""
    made: Mapping[str, Lineage] = field(default_factory=dict)
    """Of a layer, where each number that it was built with was written, by the setting's name: `in_features`."""
    chosen: Site | None = None
    """Of a layer whose class was called by another name when it was built, where that class is written."""
    causes: tuple[Cause, ...] = ()
    """Of a layer, what made its weights what they are, the most telling first; of others, the defaults in force."""
    before: ModuleMeta | None = None
    """Of a layer in an `nn.Sequential`, the one before it, whose output it was given."""

    def operand(self, name: str) -> Operand | None:
        """What came in under this name."""
        return next((operand for operand in self.operands if operand.name == name), None)

    @property
    def first(self) -> Operand | None:
        """The tensor that the call works on."""
        return self.operands[0] if self.operands else None

    def setting(self, name: str) -> Setting | None:
        """The plain argument of this name."""
        return next((setting for setting in self.settings if setting.name == name), None)

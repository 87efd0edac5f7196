"""What a capsule holds, as plain data; the values of its tensors lie beside it in the file.

Arguments and attributes are kept in the form of `values.py`. Tensors and modules are numbered, and whatever holds them
holds their numbers, so what was shared stays shared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CAPSULE_VERSION = 1
SUFFIX = ".capsule"

Json = dict[str, Any]
"""A JSON object; its values are what `json.loads` returns."""

Value = Any
"""An argument or an attribute, in the form that `values.checked` accepts."""


class CapsuleError(ValueError):
    """A file is no capsule that can be read; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor, and whether its values are in the file.

    >>> print(StoredTensor("float32", (8, 4), (4, 1), "cpu", has_values=True))
    float32[8, 4] cpu
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    device: str
    requires_grad: bool = False
    is_leaf: bool = True
    is_parameter: bool = False
    is_inference: bool = False
    has_values: bool = False
    """Whether the file holds its values; of a dim with stride 0, those of one place along it."""
    without: str = ""
    """Why the values are not in the file, in words."""
    is_plain: bool = True
    """Whether it can be made anew: a sparse or quantized tensor and one of a subclass is described only."""
    lowest: float | None = None
    highest: float | None = None
    """Of values that are not in the file, the least and the greatest finite one, where they were looked at."""
    statistics: str = ""
    """More of these values, in words."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of what is stored.

        >>> StoredTensor("float32", (8, 4), (0, 1), "cpu").stored_shape
        (1, 4)
        """
        pairs = zip(self.shape, self.strides, strict=True)
        return tuple(1 if stride == 0 and size > 1 else size for size, stride in pairs)

    def __str__(self) -> str:
        shown = f"{self.dtype}[{', '.join(map(str, self.shape))}] {self.device}"
        return f"{shown}{', grad' if self.requires_grad else ''}"


@dataclass(frozen=True, slots=True)
class StoredModule:
    """A module as it stood: its class, the attributes that configure it, its parameters and its children.

    >>> StoredModule("torch.nn.modules.linear", "Linear").is_of_torch
    True
    """

    origin: str
    """The Python module that defines the class."""
    kind: str
    """The qualified name of the class in it."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    parameters: Mapping[str, int | None] = field(default_factory=dict)
    """Its own, by their numbers among the tensors; None for a name that stands for no parameter."""
    buffers: Mapping[str, int | None] = field(default_factory=dict)
    children: Mapping[str, int | None] = field(default_factory=dict)
    """By their numbers among the modules, each less than its own."""
    is_training: bool = True
    without: str = ""
    """Why it can't be made anew, in words; empty where it can."""

    @property
    def is_of_torch(self) -> bool:
        """Whether its class is a layer, a loss or a container of PyTorch's, so that nobody's code is needed."""
        return self.origin.startswith("torch.nn.modules.")


CallKind = Literal["layer", "loss", "function", "model"]


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call, with what it was given.

    >>> StoredCall("function", "operator.matmul").title
    'operator.matmul'
    """

    kind: CallKind
    function: str
    """The function's name as `functions.py` has it, `torch.cat`; of a module, its class."""
    module: int | None = None
    """The module that was called."""
    args: tuple[Value, ...] = ()
    kwargs: Mapping[str, Value] = field(default_factory=dict)
    code: str = ""
    """The user's expression."""
    place: str = ""
    """The user's line."""

    @property
    def title(self) -> str:
        """What was called."""
        return self.function


@dataclass(frozen=True, slots=True)
class Source:
    """The source text that defines a module of the user's: of a script, only what the captured classes need."""

    module: str
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception that was raised."""

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call depends on without being given it.

    >>> Surroundings().is_grad_enabled
    True
    """

    threads: int = 1
    default_dtype: str = "float32"
    is_grad_enabled: bool = True
    is_inference: bool = False
    autocast: Mapping[str, str] = field(default_factory=dict)
    """The dtype of autocast for each kind of device for which it was on."""
    torch_rng: int | None = None
    """The state of PyTorch's generator on the CPU, by its number among the tensors."""
    python_rng: Value = None
    numpy_rng: Value = None
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Capsule:
    """A failure.

    >>> Capsule(report={}).needs_trust
    False
    """

    report: Json
    """The explanation: a report in its JSON form with this one finding, or with none where no rule knew the failure."""
    failure: Failure | None = None
    """None where nothing was raised and a rule found an error."""
    call: StoredCall | None = None
    """The innermost call that failed, if it could be captured."""
    model: StoredCall | None = None
    """The call of the outermost module that was running, if that is another one."""
    tensors: tuple[StoredTensor, ...] = ()
    modules: tuple[StoredModule, ...] = ()
    sources: tuple[Source, ...] = ()
    surroundings: Surroundings = Surroundings()
    notes: tuple[str, ...] = ()
    """What could not be captured, each in a sentence."""

    @property
    def rule(self) -> str:
        """The code of the rule that explains it; empty where none does."""
        findings = self.report.get("findings") or ()
        return next((str(finding["rule"]) for finding in findings), "")

    @property
    def needs_trust(self) -> bool:
        """Whether to repeat all of it takes code that is not PyTorch's."""
        return bool(self.sources) or any(not module.is_of_torch for module in self.modules)

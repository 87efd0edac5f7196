"""What the user declared of batches and modules, checked in every step.

A spec is found by its key: `batch.1` and `batch.image` are fields of what a DataLoader hands out, `encoder` and
`encoder.output` what a module returns, `encoder.input` what it is given, and `input` and `output` those of the model. A
part of a tuple or a dictionary is named after that: `encoder.output.0`.
"""

import difflib
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import dataloader

from tensorcheck.events.declared import SpecBroken
from tensorcheck.events.event import Event
from tensorcheck.observe.batch_indices import BatchIndices
from tensorcheck.observe.describe import leaves, tensor_meta
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.sites import Site
from tensorcheck.specs.spec import TensorSpec

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
Role = Literal["batch", "input", "output"]


@dataclass(frozen=True, slots=True)
class Declared:
    """One spec, and what it is of."""

    key: str
    role: Role
    module: str | None
    """The dotted path; None of a batch."""
    parts: tuple[str, ...]
    """How to reach the tensor in the batch, the arguments or the result; all tensors where there are none."""
    spec: TensorSpec


def declared_specs(specs: Mapping[str, TensorSpec | str], model: nn.Module | None) -> tuple[Declared, ...]:
    """What is declared, key by key; a `ValueError` names a key that nothing can be found by.

    >>> declared_specs({"encodr": "batch 8"}, nn.ModuleDict({"encoder": nn.Linear(4, 8)}))
    Traceback (most recent call last):
    ValueError: specs: the model has no module 'encodr'; did you mean 'encoder'?
    """
    paths = {path for path, _ in model.named_modules()} if model is not None else set()
    return tuple(_declared(key, spec, paths) for key, spec in specs.items())


def _declared(key: str, spec: TensorSpec | str, paths: set[str]) -> Declared:
    wanted = TensorSpec.read(spec) if isinstance(spec, str) else spec
    words = key.split(".")
    if words[0] == "batch" and "batch" not in paths:
        return Declared(key, "batch", None, tuple(words[1:]), wanted)
    for end in range(len(words), -1, -1):
        path, rest = ".".join(words[:end]), words[end:]
        if path in paths and (not rest or rest[0] in ("input", "output")) and (path or rest):
            role: Role = "input" if rest[:1] == ["input"] else "output"
            return Declared(key, role, path, tuple(rest[1:]), wanted)
    near = difflib.get_close_matches(key, paths, n=1)
    msg = f"specs: the model has no module {key!r}{f'; did you mean {near[0]!r}?' if near else ''}"
    raise ValueError(msg)


class DeclaredSpecProbe(Probe):
    """Checks what is declared; what holds costs a few microseconds."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SpecBroken})

    def __init__(self, sink: Sink, model: nn.Module | None, declared: tuple[Declared, ...], site: Site | None) -> None:
        super().__init__(sink)
        self._model = weakref.ref(model) if model is not None else lambda: None
        self._declared = declared
        self._site = site
        self._sizes: dict[str, Any] = {}
        """Of the names, in this step."""
        self._is_fresh = True
        """Whether no call of the model has begun since the batch came."""
        self._indices = BatchIndices(sink)
        self._batches: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._of_batch = tuple(each for each in declared if each.role == "batch")
        self._paths: dict[int, str] = {}
        """The dotted paths of the modules that are heard, by their ids; the session's model is alive."""

    def attach(self, handles: ExitStack) -> None:
        """Hear the DataLoaders and the named modules."""
        if self._of_batch:
            handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "_next_index", self._indices))
            handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))
        model = self._model()
        named = {each.module for each in self._declared if each.module is not None} | {""}
        modules = [(path, each) for path, each in model.named_modules() if path in named] if model is not None else []
        self._paths = {id(module): path for path, module in modules}
        for kind in {type(module) for _, module in modules}:
            handles.enter_context(PATCHES.patch_attribute(kind, "forward", _Calls(self)))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        iterator = args[0]
        if not self.sink.hears_this_thread() or not self.sink.wants_dataset(iterator._dataset):  # noqa: SLF001 - no public name
            return
        self._sizes, self._is_fresh = {}, True
        self._batches[iterator] = self._batches.get(iterator, -1) + 1
        self._check(self._of_batch, result, iterator)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain it, and the end of a pass is nothing to explain."""

    def called(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module of a class that is heard is called."""
        path = self._paths.get(id(module))
        if path == "":  # a second call in a step may well be of another batch
            self._sizes = self._sizes if self._is_fresh else {}
            self._is_fresh = False
        given = self._of("input", path)
        if given:
            several: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
            self._check(given, args[0] if len(args) == 1 and not kwargs else several)

    def answered(self, module: nn.Module, result: object) -> None:
        """It returned."""
        self._check(self._of("output", self._paths.get(id(module))), result)

    def _of(self, role: Role, path: str | None) -> tuple[Declared, ...]:
        if path is None or not self.sink.hears_this_thread():
            return ()
        return tuple(each for each in self._declared if each.module == path and each.role == role)

    def _check(self, declared: tuple[Declared, ...], value: object, iterator: Any = None) -> None:  # noqa: ANN401 - likewise
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            for each in declared:
                self._hold(each, value, iterator)

    def _hold(self, declared: Declared, value: object, iterator: Any) -> None:  # noqa: ANN401 - likewise
        name = "batch" if declared.role == "batch" else declared.role
        part, path = _part(value, declared.parts, name)
        if type(part) is Tensor and declared.spec.accepts(part, self._sizes):
            return
        found = list(leaves(part, path))
        if not found:
            self._tell(declared, path, None, ("there is no such tensor",), iterator)
        for where, tensor in found:
            wrong = declared.spec.mismatches(tensor, self._sizes)
            if wrong:
                self._tell(declared, where, tensor, tuple(map(str, wrong)), iterator)
                return

    def _tell(
        self,
        declared: Declared,
        name: str,
        tensor: Tensor | None,
        reasons: tuple[str, ...],
        iterator: Any,  # noqa: ANN401 - likewise
    ) -> None:
        signature = ("spec", declared.key)
        if self.sink.is_known(signature):
            return
        event = SpecBroken(
            step=self.sink.step,
            name=name,
            role=declared.role,
            module=declared.module,
            got=tensor_meta(tensor) if tensor is not None else None,
            expected=str(declared.spec),
            reasons=reasons,
            declared=self._site,
            batch=self._batches.get(iterator) if iterator is not None else None,
            samples=self._indices.of(iterator) if iterator is not None else (),
            site=self.sink.sites.here(),
        )
        self.sink.emit(event, signature=signature)


def _part(value: Any, parts: tuple[str, ...], name: str) -> tuple[Any, str]:  # noqa: ANN401 - whatever a loader yields
    """A part of a structure, None where there is none, and the expression that reaches it."""
    for part in parts:
        key: Any = int(part) if part.isdigit() else part
        try:
            if isinstance(value, Mapping):
                key = part if part in value else key
                value, name = value[key], f'{name}["{key}"]' if isinstance(key, str) else f"{name}[{key}]"
            elif isinstance(key, int):
                value, name = value[key], f"{name}[{key}]"
            else:
                value, name = getattr(value, key), f"{name}.{key}"
        except (KeyError, IndexError, TypeError, AttributeError):
            return None, f"{name}.{part}"
    return value, name


class _Calls(Listener):
    """Hears the calls of all modules of a class.

    It is no hook on the module: a model that is saved or copied would take that along.
    """

    def __init__(self, probe: DeclaredSpecProbe) -> None:
        super().__init__()
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is called."""
        self._probe.called(args[0], args[1:], kwargs)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """It returned."""
        self._probe.answered(args[0], result)

    def fault(self, error: Exception) -> None:
        """The modules are not held to anything."""
        self._probe.fault(error)

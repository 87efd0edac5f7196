"""Where tensors and numbers came from: steps back through the source from the frames of a crash, joined."""

import ast
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from linecache import getlines

import numpy as np
from torch import Tensor, nn

from tensorcheck.calls import Operand
from tensorcheck.events import Fault
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.frames import Owner, expression_at, site_of_node
from tensorcheck.observe.grad_modes import device_set, switched_off
from tensorcheck.observe.origins import Origin, of_sample, origins
from tensorcheck.observe.rehearsing import rehearsed
from tensorcheck.observe.scopes import Path, Place, Scope, called_name, scopes_of, value_of
from tensorcheck.observe.sources import arguments_of, constructions, definition_place
from tensorcheck.observe.stack import StackFrame, standing
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Trace

_DEEPEST = 60
_WIDEST = 400
"""A lineage beyond these is cut: it is there to find one place, not to tell everything."""
_PLAIN = (bool, int, float, str)
_NAMING = (Step.ASSIGNED, Step.ARGUMENT, Step.ATTRIBUTE)


class Lineages:
    """Finds the lineage of expressions in the frames of one stack."""

    def __init__(
        self,
        frames: Sequence[StackFrame],
        trace: Trace | None = None,
        fault: Callable[[Fault], object] = lambda _: None,
    ) -> None:
        self._fault = fault
        self._scopes = scopes_of(frames)
        self._traced = _metas_by_place(trace) if trace is not None else {}

    def of(self, node: ast.expr | None, meta: TensorMeta | None) -> Lineage:
        """Where the value of an expression of the innermost frame came from; `meta` is what it is, of a tensor."""
        if node is None or not self._scopes:
            return Lineage()
        origin = Origin(Step.SPELLED, ast.unparse(node), Place(node, self._scopes[-1]))
        return _Graph(self._traced, self._fault).lineage(origin, meta)

    @property
    def scope(self) -> Scope | None:
        """The innermost frame of the user's."""
        return self._scopes[-1] if self._scopes else None

    def of_object(self, wanted: object) -> Lineage:
        """Where an object came from that the innermost line names: `optimizer` in `optimizer.step()`."""
        scope = self.scope
        for node in ast.walk(scope.standing) if scope is not None and scope.standing is not None else ():
            if scope is not None and isinstance(node, ast.Name | ast.Attribute) and value_of(node, scope) is wanted:
                return self.of(node, None)
        return Lineage()

    def meta_of(self, node: ast.expr) -> TensorMeta | None:
        """What an expression of the innermost frame was worth whose value is gone: as it was traced, or by asking."""
        if self.scope is None:
            return None
        traced = self._traced.get(_span(site_of_node(node, self.scope.filename, self.scope.function)))
        return traced or rehearsed(node, self.scope.names, under_autocast=self._may_be_cast)

    @property
    def _may_be_cast(self) -> bool:
        """Whether some file of the running code uses autocast, which would have changed what its functions give."""
        return any("autocast" in line for scope in self._scopes for line in getlines(scope.filename))

    def of_settings(self, model: nn.Module, path: str) -> dict[str, Lineage]:
        """Where each argument that a layer was built with was written, by the setting's name."""
        place = definition_place(model, path, self.scope)
        layer = model.get_submodule(path)
        candidates = constructions(place, type(layer)) if place is not None else ()
        found = [self._of_arguments(candidate, type(layer)) for candidate in candidates]
        return max(found, key=lambda made: _agreeing(made, layer), default={})

    def _of_arguments(self, place: Place, kind: type) -> dict[str, Lineage]:
        named = arguments_of(place.node, kind) if isinstance(place.node, ast.Call) else {}
        return {name: self._of_argument(node, place.scope) for name, node in named.items()}

    def _of_argument(self, node: ast.expr, scope: Scope) -> Lineage:
        return _Graph(self._traced, self._fault).lineage(
            Origin(Step.SPELLED, ast.unparse(node), Place(node, scope)), None
        )

    def of_sample(self, dataset: object, path: Path) -> Lineage:
        """Where a dataset's source makes its samples, or the element of them that `path` leads to."""
        place = Place(ast.Constant(None), self._scopes[-1]) if self._scopes else None
        found = list(of_sample(place, dataset, path)) if place is not None else []
        return _Graph(self._traced, self._fault).lineage(found[0], None) if len(found) == 1 else Lineage()

    def through(self, operand: Operand, node: ast.expr) -> Operand:
        """An operand that began as this expression, and went through modules that the user did not write."""
        began = self.of(node, None).ancestors
        first = Ancestor(Step.SPELLED, operand.name, None, operand.meta, parents=(1,) if began else ())
        later = (replace(each, parents=tuple(parent + 1 for parent in each.parents)) for each in began)
        return replace(operand, lineage=Lineage((first, *later)))


def lineage_of_argument(trace: Trace, meta: TensorMeta | None = None) -> Lineage:
    """Where the first argument of the call came from that the user's innermost running frame stands at."""
    with standing() as frames:
        user = next((frame for frame in reversed(frames) if frame.owner is Owner.USER), None)
        node = expression_at(user.frame.f_code, user.instruction) if user is not None else None
        argument = node.args[0] if isinstance(node, ast.Call) and node.args else None
        return Lineages(frames, trace).of(argument, meta)


def _agreeing(made: Mapping[str, Lineage], layer: nn.Module) -> int:
    """How many of a layer's numbers this construction can have given it."""
    return sum(
        any(ancestor.value == vars(layer).get(name) for ancestor in lineage.ancestors)
        for name, lineage in made.items()
        if name in vars(layer)
    )


_Span = tuple[str, int, int, int]


def _metas_by_place(trace: Trace) -> dict[_Span, TensorMeta]:
    """What each expression was worth when it was traced last."""
    made = {}
    for operation in trace.operations:
        if operation.site is not None and operation.outputs:
            made[_span(operation.site)] = trace.values[operation.outputs[0]].meta
    return made


def _span(site: Site) -> _Span:
    return site.file, site.line, site.column, site.end_column


class _Graph:
    """One lineage in the making."""

    def __init__(self, traced: dict[_Span, TensorMeta], fault: Callable[[Fault], object]) -> None:
        self._traced = traced
        self._fault = fault
        self._ancestors: list[Ancestor] = []
        self._known: dict[tuple[int, str, object], int] = {}
        self._open: set[int] = set()

    def lineage(self, origin: Origin, meta: TensorMeta | None) -> Lineage:
        """The whole of it, from its first member on; as much as was found where the source holds a surprise."""
        try:
            self._add(origin, 0)
        except Exception:  # noqa: BLE001 - what was found so far is of use
            self._fault(Fault("a tensor's lineage", traceback.format_exc()))
        if not self._ancestors:
            return Lineage()
        first = self._ancestors[0]
        self._ancestors[0] = replace(first, meta=meta or first.meta)
        return Lineage(tuple(self._ancestors))

    def _add(self, origin: Origin, depth: int) -> int | None:
        key = (id(origin.place.node), origin.place.scope.function, origin.place.path)
        if key in self._known:
            place = self._known[key]
            return None if place in self._open else place
        if depth > _DEEPEST or len(self._ancestors) >= _WIDEST:
            return None
        place = self._known[key] = len(self._ancestors)
        self._ancestors.append(self._ancestor(origin))
        self._open.add(place)
        parents = [self._add(parent, depth + 1) for parent in origins(origin.place)]
        self._open.discard(place)
        self._same_as_named(place, [parent for parent in parents if parent is not None])
        known = dict.fromkeys(parent for parent in parents if parent is not None)
        self._ancestors[place] = replace(self._ancestors[place], parents=tuple(known))
        return place

    def _same_as_named(self, place: int, parents: Sequence[int]) -> None:
        """A name is worth what the statement gave it: what is known of the one is known of the other."""
        named = self._ancestors[place]
        for parent in parents:
            given = self._ancestors[parent]
            if given.step in _NAMING and given.name == named.name and given.meta is None and given.value is None:
                self._ancestors[parent] = replace(given, meta=named.meta, value=named.value)

    def _ancestor(self, origin: Origin) -> Ancestor:
        node, scope = origin.place.node, origin.place.scope
        site = site_of_node(node, scope.filename, scope.function)
        value = _element(value_of(node, scope), origin.place)
        meta = _meta(value) or self._traced.get(_span(site))
        plain = value if isinstance(value, _PLAIN) else None
        return Ancestor(
            origin.step,
            origin.name,
            site,
            meta,
            plain,
            function=_function(node),
            device_set=device_set(node, scope.filename),
            grad_off=switched_off(node, scope.filename),
        )


def _element(value: object, place: Place) -> object:
    for selector in place.path:
        if type(value) not in (tuple, list, dict) or selector is None:
            return UNKNOWN
        try:
            value = value[selector]  # type: ignore[index]  # the type was just looked at
        except LookupError:
            return UNKNOWN
    return value


def _meta(value: object) -> TensorMeta | None:
    if isinstance(value, Tensor):
        return tensor_meta(value)
    if isinstance(value, np.ndarray):
        return TensorMeta(value.shape, str(value.dtype), "cpu")
    return None


def _function(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return called_name(node)
        case ast.Attribute():
            return node.attr
        case ast.Compare():
            return type(node.ops[0]).__name__.lower()
        case ast.BinOp():
            return type(node.op).__name__.lower()
        case _:
            return ""

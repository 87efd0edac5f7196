"""Where tensors and numbers came from: steps back through the source from the frames of a crash, joined."""

import ast
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from linecache import getlines

import numpy as np
import torch
from torch import Tensor, nn

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Fault
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.observe.batches import of_sample
from tensorcheck.observe.building import building_calls
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import Owner, expression_at, site_of_node
from tensorcheck.observe.grad_modes import device_set, switched_off_outside
from tensorcheck.observe.lookups import element_of, value_of
from tensorcheck.observe.origin import Origin, with_path
from tensorcheck.observe.origins import origins
from tensorcheck.observe.rehearsing import rehearsed
from tensorcheck.observe.returned_metas import returned_meta
from tensorcheck.observe.scopes import Path, Place, Scope, called_name
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

    @property
    def scopes(self) -> Sequence[Scope]:
        """The frames of the user's, the outermost first."""
        return self._scopes

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
        return (
            traced
            or rehearsed(node, self.scope.names, under_autocast=self._may_be_cast)
            or returned_meta(node, self.scope, under_autocast=self._may_be_cast)
        )

    @property
    def _may_be_cast(self) -> bool:
        """Whether some file of the running code uses autocast, which would have changed what its functions give."""
        return any("autocast" in line for scope in self._scopes for line in getlines(scope.filename))

    def of_settings(self, model: nn.Module, path: str, born: Place | None) -> dict[str, Lineage]:
        """Where each argument that a layer was built with was written, by the setting's name.

        `born` is the call that built it, where that was heard.
        """
        place = definition_place(model, path, self.scope)
        layer = model.get_submodule(path)
        candidates = list(constructions(place, type(layer))) if place is not None else []
        found = [self._of_arguments(each, type(layer)) for each in [*([born] if born is not None else []), *candidates]]
        return max(found, key=lambda made: _agreeing(made, layer), default={})

    def choice_of(self, kind: type, born: Place | None) -> Site | None:
        """Where a layer's class was chosen, if the call that built it calls it by another name: `NORMS["layer"]`."""
        if born is None or born.called == kind.__name__ or not isinstance(born.node, ast.Call):
            return None
        named = self._of_argument(born.node.func, born.scope).ancestors[1:]
        sites = [each.site for each in named if each.site is not None and _names(each.site.code, kind)]
        return sites[-1] if len({(site.file, site.line) for site in sites}) == 1 else None

    def _of_arguments(self, place: Place, kind: type) -> dict[str, Lineage]:
        named = arguments_of(place.node, kind) if isinstance(place.node, ast.Call) else {}
        return {name: self._of_argument(node, place.scope) for name, node in named.items()}

    def _of_argument(self, node: ast.expr, scope: Scope) -> Lineage:
        return _Graph(self._traced, self._fault).lineage(
            Origin(Step.SPELLED, ast.unparse(node), Place(node, scope)), None
        )

    def of_sample(self, dataset: object, path: Path, ran: frozenset[tuple[str, int]] = frozenset()) -> Lineage:
        """Where a dataset's source makes its samples, or the element of them that `path` leads to.

        `ran` are the lines that ran for the one sample that is meant, where these are known.
        """
        if not self._scopes:
            return Lineage()
        found = list(of_sample(Place(ast.Constant(None), replace(self._scopes[-1], ran=ran)), dataset, path))
        return _Graph(self._traced, self._fault).lineage(found[0], None) if len(found) == 1 else Lineage()

    def through(self, operand: Operand, node: ast.expr) -> Operand:
        """An operand that began as this expression, and went through modules that the user did not write."""
        return replace(operand, lineage=_after(operand, self.of(node, None).ancestors))

    def built_with(self, operand: Operand, holder: nn.Module, node: ast.expr) -> Operand:
        """An operand that its holder was built with, as a loss is with the weights of its classes.

        `node` is the holder as the innermost line spells it; the lineage begins with the constructor's argument.
        """
        place = Place(node, self._scopes[-1]) if self._scopes else None
        calls = building_calls(place, type(holder)) if place is not None else ()
        for call in calls:
            given = arguments_of(call.node, type(holder)).get(operand.name) if isinstance(call.node, ast.Call) else None
            if given is not None:
                origin = Origin(Step.ARGUMENT, operand.name, Place(given, call.scope))
                began = _Graph(self._traced, self._fault).lineage(origin, None)
                return replace(operand, lineage=_after(operand, began.ancestors))
        return operand


def _after(operand: Operand, began: Sequence[Ancestor]) -> Lineage:
    """What an operand began as, with the operand itself before it, which the user's line does not spell."""
    first = Ancestor(Step.SPELLED, operand.name, None, operand.meta, parents=(1,) if began else ())
    return Lineage((first, *(replace(each, parents=tuple(parent + 1 for parent in each.parents)) for each in began)))


def lineage_of_argument(trace: Trace, meta: TensorMeta | None = None) -> Lineage:
    """Where the first argument of the call came from that the user's innermost running frame stands at."""
    with standing() as frames:
        user = next((frame for frame in reversed(frames) if frame.owner is Owner.USER), None)
        node = expression_at(user.frame.f_code, user.instruction) if user is not None else None
        argument = node.args[0] if isinstance(node, ast.Call) and node.args else None
        return Lineages(frames, trace).of(argument, meta)


def _names(code: str, kind: type) -> bool:
    return code.rpartition(".")[2] == kind.__name__


def lines_of_loss() -> frozenset[tuple[str, int]]:
    """The files and lines that the loss leads back to of which the user's running line calls `backward`."""
    with standing() as frames:
        user = next((frame for frame in reversed(frames) if frame.owner is Owner.USER), None)
        node = expression_at(user.frame.f_code, user.instruction) if user is not None else None
        if not isinstance(node, ast.Call):
            return frozenset()
        is_method = isinstance(node.func, ast.Attribute) and not node.args
        loss = node.func.value if isinstance(node.func, ast.Attribute) and is_method else next(iter(node.args), None)
        lines = {ancestor.line for ancestor in Lineages(frames).of(loss, None).ancestors}
    return frozenset(line for line in lines if line is not None)


def _agreeing(made: Mapping[str, Lineage], layer: nn.Module) -> int:
    """How many of a layer's numbers this construction can have given it."""
    return sum(
        any(ancestor.value == vars(layer).get(name) for ancestor in lineage.ancestors)
        for name, lineage in made.items()
        if name in vars(layer)
    )


_Span = tuple[str, int, int, int]


def _metas_by_place(trace: Trace) -> dict[_Span, TensorMeta]:
    """What each expression was worth when it was traced last, where it was alike each time."""
    made: dict[_Span, TensorMeta | None] = {}
    for operation in trace.operations:
        if operation.site is not None and operation.outputs:
            meta, span = trace.values[operation.outputs[0]].meta, _span(operation.site)
            made[span] = meta if made.get(span, meta) == meta else None
    return {span: meta for span, meta in made.items() if meta is not None}


def _span(site: Site) -> _Span:
    return site.file, site.line, site.column, site.end_column


class _Graph:
    """One lineage in the making."""

    def __init__(self, traced: dict[_Span, TensorMeta], fault: Callable[[Fault], object]) -> None:
        self._traced = traced
        self._fault = fault
        self._ancestors: list[Ancestor] = []
        self._known: dict[tuple[int, str, int | None, object], int] = {}
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
        key = (id(origin.place.node), origin.place.scope.function, origin.place.scope.turn, origin.place.path)
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
        is_whole = None not in parents
        self._ancestors[place] = replace(self._ancestors[place], parents=tuple(known), is_whole=is_whole)
        return place

    def _same_as_named(self, place: int, parents: Sequence[int]) -> None:
        """A name is worth what the statement gave it: what is known of the one is known of the other."""
        if len(parents) != 1:
            return
        named, given = self._ancestors[place], self._ancestors[parents[0]]
        is_open = given.meta is None and (given.value is None or given.function == "device")  # weights move meanwhile
        if given.step in _NAMING and given.name == named.name and is_open:
            self._ancestors[parents[0]] = replace(given, meta=named.meta, value=named.value)

    def _ancestor(self, origin: Origin) -> Ancestor:
        node, scope = origin.place.node, origin.place.scope
        site = site_of_node(node, scope.filename, scope.function)
        value = element_of(value_of(node, scope), origin.place.path)
        traced = self._traced.get(_span(site))
        name = origin.name.removesuffix(with_path("", origin.place.path)) if traced else origin.name
        meta = _meta(value) or traced
        plain = str(value) if isinstance(value, torch.device) else value if isinstance(value, _PLAIN) else None
        return Ancestor(
            origin.step,
            name,
            site,
            meta,
            plain,
            function=_function(node, origin.place.path) or _indexing(node, scope),
            takes_dtype=_takes_dtype(node),
            device_set=device_set(node, scope.filename),
            grad_off=switched_off_outside(origin.place),
        )


def _meta(value: object) -> TensorMeta | None:
    if isinstance(value, Tensor):
        return tensor_meta(value)
    if isinstance(value, np.ndarray):
        return TensorMeta(value.shape, str(value.dtype), "cpu")
    return None


def _takes_dtype(node: ast.expr) -> bool:
    """Whether a call leaves the dtype to what it is given, while Python's own floats are float32."""
    is_such = isinstance(node, ast.Call) and called_name(node) in ("tensor", "as_tensor")
    has_dtype = isinstance(node, ast.Call) and any(word.arg in ("dtype", None) for word in node.keywords)
    return is_such and not has_dtype and torch.get_default_dtype() is torch.float32


def _indexing(node: ast.expr, scope: Scope) -> str:
    """`index` of a part of a tensor or an array, which has not the shape of the whole."""
    is_part = isinstance(node, ast.Subscript) and isinstance(value_of(node.value, scope), Tensor | np.ndarray)
    return "index" if is_part else ""


def _function(node: ast.expr, path: Path) -> str:  # noqa: PLR0911 - one return for each kind of node
    match node:
        case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() if not path:
            return "comprehension"
        case ast.Call():
            return called_name(node)
        case ast.Attribute():
            return node.attr
        case ast.Compare():
            return type(node.ops[0]).__name__.lower()
        case ast.BinOp():
            return type(node.op).__name__.lower()
        case ast.Subscript(slice=ast.Slice() | ast.Tuple()):
            return "getitem"
        case _:
            return ""

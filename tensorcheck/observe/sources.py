"""Where a model's source makes its layers, and where a dataset's makes its samples."""

import ast
import inspect
from collections.abc import Iterator

from torch import nn

from tensorcheck.observe.attributes import given_in_methods, given_outside
from tensorcheck.observe.branches import binding_of, results
from tensorcheck.observe.building import building_calls
from tensorcheck.observe.callees import called_scope
from tensorcheck.observe.datasets import sample_function
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import UnknownValueError, evaluate
from tensorcheck.observe.frames import Owner, site_of_node
from tensorcheck.observe.origin import held_by_name
from tensorcheck.observe.scopes import Place, Scope, called_name, within
from tensorcheck.sites import Site

_CONTAINERS = ("Sequential", "ModuleList")
_ANYWHERE = (Owner.USER, Owner.INSTALLED)


def definition_site(model: nn.Module, path: str, scope: Scope | None = None) -> Site | None:
    """The code that made the module at this dotted path: `self.head = nn.Linear(784, 10)`.

    Of a layer inside an `nn.Sequential` or a list it is that layer's own argument; where the source does not show which
    (a loop, a comprehension, `*layers`), the statement that made the whole. None where there is no source.
    """
    place = definition_place(model, path, scope)
    if place is None:
        return None
    return site_of_node(place.statement or place.node, place.scope.filename, place.scope.function)


def definition_place(model: nn.Module, path: str, scope: Scope | None = None) -> Place | None:
    """The expression that made the module at this path; `scope` is where to look for `model.head = …` too."""
    layer = model.get_submodule(path)
    parts = path.split(".") if path else []
    for depth in range(len(parts), 0, -1):
        owner = model.get_submodule(".".join(parts[: depth - 1]))
        inside = given_in_methods(owner, parts[depth - 1], scope, owners=_ANYWHERE)
        outside = given_outside(parts[depth - 1], scope) if scope is not None else ()
        for place in (*inside, *outside):
            found = _copied(_descend(place, parts[depth:], layer), owner, parts[depth - 1 :])
            if not _contradicts(found, layer):
                return found
    named = held_by_name(scope, model, ()) if scope is not None else ()
    whole = (_descend(origin.place, parts, layer) for origin in named if isinstance(origin.place.node, ast.Call))
    return next((place for place in whole if not _contradicts(place, layer)), None)


def constructions(place: Place, kind: type) -> Iterator[Place]:
    """Where a layer of this class may have been made: this very place, or within the function that makes the whole."""
    if place.called == kind.__name__:
        yield place
        return
    inner = called_scope(place)
    for scope in [place.scope] if inner is None else [inner]:
        for node in within(scope.body):
            if isinstance(node, ast.Call) and called_name(node) == kind.__name__:
                yield Place(node, scope)


def _descend(place: Place, indices: list[str], layer: nn.Module) -> Place:
    """From `self.net = nn.Sequential(a, b)` and `["1"]` to `b`, also through a function that returns the whole."""
    inside = _element(_returned(place), indices) if indices else place
    return _element(place, indices) if _contradicts(inside, layer) else inside


def _returned(place: Place, depth: int = 3) -> Place:
    """What the user's function that is called here returns, if there is one such expression."""
    scope = called_scope(place) if depth else None
    found = list(results(scope)) if scope is not None else []
    if scope is None or len(found) != 1:
        return place
    node = found[0][0]
    binding = binding_of(scope, node.id, (node.lineno, node.col_offset)) if isinstance(node, ast.Name) else None
    inner = binding.value if binding is not None and not binding.path else node
    return _returned(Place(inner, scope), depth - 1) if isinstance(inner, ast.Call) else place


def _element(place: Place, indices: list[str]) -> Place:
    """The argument of a container's construction that these lead to, as far as the source shows it."""
    value = place.node
    for index in indices:
        if not isinstance(value, ast.Call) or not index.isdecimal() or called_name(value) not in _CONTAINERS:
            break
        single = value.args[0] if len(value.args) == 1 else None
        children = single.elts if isinstance(single, ast.List | ast.Tuple) else value.args
        if any(isinstance(child, ast.Starred) for child in children) or int(index) >= len(children):
            break
        value = children[int(index)]
    return place if value is place.node else Place(value, place.scope)


def _copied(place: Place, owner: nn.Module, parts: list[str]) -> Place:
    """Of a part of the layers that a Transformer's encoder or decoder copies, the call that built the one copied."""
    whole = owner.get_submodule(parts[0])
    name = _COPYING.get(type(whole).__name__)
    if name is None or parts[1:2] != ["layers"] or len(parts) <= len(("whole", "layers")):
        return place
    layer = owner.get_submodule(".".join(parts[:3]))
    for call in building_calls(place, type(whole)):
        given = arguments_of(call.node, type(whole)).get(name) if isinstance(call.node, ast.Call) else None
        built = next(building_calls(Place(given, call.scope), type(layer)), None) if given is not None else None
        if built is not None:
            return built
    return place


_COPYING = {"TransformerEncoder": "encoder_layer", "TransformerDecoder": "decoder_layer"}


def _contradicts(place: Place, layer: nn.Module) -> bool:
    """Whether it spells a number that this layer was not built with, so that it made another one."""
    return any(
        isinstance(setting := vars(layer).get(name), int) and setting != number
        for name, number in _numbers(place, type(layer))
    )


def _numbers(place: Place, cls: type) -> Iterator[tuple[str, object]]:
    if not isinstance(place.node, ast.Call) or place.called != cls.__name__:
        return
    for name, node in arguments_of(place.node, cls).items():
        try:
            yield name, evaluate(node, place.scope.names)
        except UnknownValueError:
            continue


def arguments_of(call: ast.Call, cls: type) -> dict[str, ast.expr]:
    """How the construction of a layer spells its settings, by their names."""
    constructor = vars(cls).get("__init__", cls.__init__)  # type: ignore[misc]  # it is only read
    code = inspect.unwrap(constructor).__code__
    positional = dict(zip(code.co_varnames[1 : code.co_argcount], call.args, strict=False))
    return positional | {word.arg: word.value for word in call.keywords if word.arg}


def sample_site(dataset: object) -> Site | None:
    """The expression that the user's dataset hands out as a sample, where there is just one."""
    function = sample_function(dataset)
    scope = scope_of(function, dataset) if function is not None else None
    found = [node for node, _ in results(scope)] if scope is not None else []
    return site_of_node(found[0], scope.filename, scope.function) if scope is not None and len(found) == 1 else None

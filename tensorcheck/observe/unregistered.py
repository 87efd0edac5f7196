"""Parameters that a step trains but that are none of the model's, so that `model.parameters()` leaves them out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

from torch import Tensor, nn

from tensorcheck.observe.attributes import given_in_methods
from tensorcheck.observe.describe import is_a
from tensorcheck.observe.frames import Owner, owner_of, site_of_node
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.sources import definition_site
from tensorcheck.sites import Site

_OWN = frozenset(vars(nn.Module()))
"""The attributes that every module has."""


@dataclass(frozen=True, eq=False, slots=True)
class Unregistered:
    """One parameter of that kind."""

    name: str
    tensor: Tensor
    holder: nn.Module
    container: str = ""
    """The attribute of `holder` that is a plain list or dictionary; empty where `holder` is no part of the model."""

    def site(self, scope: Scope | None) -> Site | None:
        """Where the list, or the module, was made."""
        if not self.container:
            return definition_site(self.holder, "", scope)
        return _site_of_container(self.holder, self.container, scope)


def _site_of_container(holder: nn.Module, container: str, scope: Scope | None) -> Site | None:
    place = next(given_in_methods(holder, container, scope), None)
    node = place and (place.statement or place.node)
    return site_of_node(node, place.scope.filename, place.scope.function) if place and node else None


def in_containers(model: nn.Module) -> Iterator[Unregistered]:
    """What the model and its modules keep in plain lists and dictionaries, which register nothing."""
    known = {id(tensor) for tensor in model.parameters()}
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in _OWN and isinstance(value, list | tuple | dict):
                place = f"{path}.{attribute}" if path else attribute
                for name, tensor in _parameters(place, value):
                    if id(tensor) not in known:
                        yield Unregistered(name, tensor, module, attribute)


@dataclass(frozen=True, eq=False, slots=True)
class Hidden:
    """A module that a plain list or dictionary of the model's holds, so that the model does not know it."""

    path: str
    """How it is reached from the model: `blocks[0].norm`."""
    holder: nn.Module
    container: str
    """The attribute of `holder` that is the list or dictionary."""
    element: nn.Module
    """What stands in it: the module itself, or a larger one."""
    inner: str
    """The dotted path from there; empty where it is the element itself."""

    def site(self, scope: Scope | None) -> Site | None:
        """Where the list or dictionary was made."""
        return _site_of_container(self.holder, self.container, scope)


def hidden(model: nn.Module, wanted: nn.Module) -> Hidden | None:
    """How a plain list or dictionary of the model's, or of one of its modules, leads to a module."""
    for path, holder in model.named_modules():
        for attribute, value in vars(holder).items():
            place = f"{path}.{attribute}" if path else attribute
            for key, element in _items(value) if attribute not in _OWN else ():
                if is_a(element, nn.Module) and (inner := _path_in(element, wanted)) is not None:
                    whole = f"{place}[{key!r}]"
                    return Hidden(f"{whole}.{inner}" if inner else whole, holder, attribute, element, inner)
    return None


def _path_in(whole: nn.Module, wanted: nn.Module) -> str | None:
    return next((path for path, part in whole.named_modules() if part is wanted), None)


def beside(model: nn.Module, scopes: Iterable[Scope]) -> Iterator[Unregistered]:
    """What modules at hand own that hold nothing but parameters of their own, as a loss with class centres does.

    Another whole network may be there to be looked at alone, as in a perceptual loss.
    """
    known = {id(tensor) for tensor in model.parameters()}
    for name, module in modules_at_hand(scopes).items():
        own = list(module.named_parameters(recurse=False))
        if not own or not module.training or len(own) < sum(1 for _ in module.parameters()) or not _is_users(module):
            continue
        yield from (Unregistered(f"{name}.{key}", each, module) for key, each in own if id(each) not in known)


def modules_at_hand(scopes: Iterable[Scope]) -> dict[str, nn.Module]:
    """The modules that the running code names, or reaches as `self.head`, each by the name found last.

    Nothing is asked of the objects themselves: a lazy proxy would answer, and so be made to do its work.
    """
    named: dict[int, tuple[str, Any]] = {}
    for scope in scopes:
        for name, value in scope.names.items():
            parts = [(f"{name}.{key}", part) for key, part in _attributes(value)]
            for path, part in [(name, value), *parts]:
                if issubclass(type(part), nn.Module):
                    named[id(part)] = path, part
    return dict(named.values())


def _attributes(value: object) -> list[tuple[str, object]]:
    if issubclass(type(value), type | ModuleType | nn.Module):
        return []
    try:
        return list(object.__getattribute__(value, "__dict__").items())
    except AttributeError:
        return []


def _is_users(module: nn.Module) -> bool:
    forward: Any = type(module).forward
    return hasattr(forward, "__code__") and owner_of(forward.__code__.co_filename) is Owner.USER


def _parameters(place: str, container: object) -> Iterator[tuple[str, Tensor]]:
    for key, item in _items(container):
        path = f"{place}[{key!r}]"
        if isinstance(item, nn.Module):
            yield from ((f"{path}.{name}", tensor) for name, tensor in item.named_parameters())
        elif isinstance(item, nn.Parameter):
            yield path, item


def _items(container: object) -> list[tuple[object, Any]]:
    """What a plain list, tuple or dictionary holds, by index or key."""
    kind = type(container)
    if issubclass(kind, dict):
        return list(cast("dict[object, object]", container).items())
    return list(enumerate(cast("list[object]", container))) if issubclass(kind, list | tuple) else []

"""Layers that were put into a model from outside, as a head for other classes is, and were then frozen with the rest.

It is read from the source of the running code, once, before the first step: `model.fc = nn.Linear(512, 2)`. A layer
that is named anywhere else than there may have been given weights, or been frozen on purpose.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import ClassVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.gradients import NewLayerFrozen
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.scopes import Scope, called_name
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.trainables import freezing_in
from tensorcheck.sites import Site

_SIZES = frozenset({"in_features", "out_features", "in_channels", "out_channels"})
"""What of the old layer a new one is built with."""


class NewLayerProbe(Probe):
    """Looks at each model before its first step."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({NewLayerFrozen})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._looked: set[Subject] = set()

    def attach(self, handles: ExitStack) -> None:
        """Register the hook that all optimizers share."""
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self.is_off:
            return
        try:
            for subject in self._optimizers.follow(optimizer).subjects:
                if subject not in self._looked:
                    self._looked.add(subject)
                    self._look(subject)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look(self, subject: Subject) -> None:
        model = subject.model()
        if model is None or not 0 < subject.trainable() < sum(1 for _ in subject.parameters()):
            return
        with standing() as frames, torch._C.DisableTorchFunction():  # noqa: SLF001 - not for a user's modes to see
            scopes = scopes_of(frames)
            for path, layer, made in _put_in(model, scopes):
                prefix = f"{path}." if path else ""
                names = tuple(f"{prefix}{name}" for name, _ in layer.named_parameters())
                here, freezing = self.sink.sites.here(), tuple(freezing_in(scopes))
                kind = type(layer).__name__
                if any(_is_chosen(site) for site in freezing):
                    continue
                self.sink.emit(NewLayerFrozen(subject.step, path, kind, names, made, freezing, here), subject)


def _is_chosen(site: Site) -> bool:
    """Whether a statement that freezes stands under a condition, and so freezes what was chosen for it."""
    tree = tree_of(site.file)
    conditions = (node for node in ast.walk(tree or ast.Module([], [])) if isinstance(node, ast.If))
    return any(node.lineno < site.line <= (node.end_lineno or 0) and _names_parts(node.test) for node in conditions)


def _names_parts(test: ast.expr) -> bool:
    """Whether a condition tells parameters apart, by their names or otherwise: it is no switch such as `if freeze:`."""
    return any(isinstance(node, ast.Call | ast.Compare) for node in ast.walk(test))


def _put_in(model: nn.Module, scopes: Sequence[Scope]) -> Iterator[tuple[str, nn.Module, Site]]:
    """The frozen layers of the model that the running files put into some object, and do nothing else with."""
    files = dict.fromkeys(scope.filename for scope in scopes)
    trees = {file: tree for file in files if (tree := tree_of(file)) is not None}
    nodes = [(file, node) for file, tree in trees.items() for node in ast.walk(tree)]
    if any(isinstance(node, ast.Attribute) and node.attr == "load_state_dict" for _, node in nodes):
        return
    named = {name for _, node in nodes for name in _asked_more(node)}
    bare = {name for _, node in nodes for name in _made_bare(node)}
    found: dict[str, list[tuple[str, nn.Module, Site]]] = {}
    for file, node in nodes:
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name, value=owner)], value=ast.Call() as call):
                if name not in named and not (isinstance(owner, ast.Name) and owner.id == "self"):
                    for path, layer in _frozen(model, name, called_name(call)):
                        put = ast.unparse(owner), layer, site_of_node(node, file, "")
                        found.setdefault(path, []).append(put)
    for path, places in found.items():
        # Of a module that begins with nothing, the first layer of a name is no new one.
        holder, layer, site = places[-1]
        if len(places) > 1 or holder not in bare:
            yield path, layer, site


def _made_bare(node: ast.AST) -> Iterator[str]:
    """The name of a module without any layers of its own: `net` of `net = nn.Module()`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[], keywords=[]) as call):
            if called_name(call) == "Module":
                yield name


def _asked_more(node: ast.AST) -> Iterator[str]:
    """The attribute of which it takes something that is no size: its parameters, its weight."""
    match node:
        case ast.Attribute(value=ast.Attribute(attr=name), attr=part) if part not in _SIZES:
            yield name


def _frozen(model: nn.Module, name: str, kind: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of PyTorch's own of this name and class all of whose parameters are frozen."""
    for path, layer in model.named_modules():
        is_such = path.rpartition(".")[2] == name and type(layer).__name__ == kind
        parameters = list(layer.parameters()) if is_such and type(layer).__module__.startswith("torch.nn.") else []
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            yield path, layer

"""What should have given a layer on the meta device its values, and did not."""

import ast
from collections.abc import Iterator
from typing import Literal

from torch import nn

from tensorcheck.calls import Cause
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.scopes import Body, called_name, within

_Bodies = list[tuple[str, str, Body]]
"""Files with the names of their functions and the bodies of these."""


def materialisations(model: nn.Module, bodies: _Bodies) -> Iterator[Cause]:
    """The only `to_empty`, on another part of the model, and the only `load_state_dict` without `assign=True`."""
    devices = {parameter.device.type for parameter in model.parameters()}
    if len(devices) > 1:
        yield from _only("emptied", "to_empty", bodies)
    yield from _only("copied", "load_state_dict", bodies)


def _only(kind: Literal["emptied", "copied"], method: str, bodies: _Bodies) -> Iterator[Cause]:
    found = [
        Cause(kind, "device", ast.unparse(node.func.value), "meta", site_of_node(node, filename, name))
        for filename, name, body in bodies
        for node in within(body)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and called_name(node) == method
        if not any(word.arg in ("assign", None) for word in node.keywords)
    ]
    yield from found if len(found) == 1 else ()

"""From what a failed call was given that is no tensor to plain facts: its class, and the tensors in it."""

import ast

import torch
from torch import Tensor, nn

from tensorcheck.calls import OtherValue
from tensorcheck.observe.describe import is_a, named_tensors
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.samples import array_meta, kind_of
from tensorcheck.observe.stack import StackFrame

_NO_VALUES = (Tensor, nn.Module, type, type(ast), torch.dtype, torch.layout, torch.memory_format, torch.Generator)
"""What is described elsewhere, or tells a function how to work and not on what."""


def is_other_value(value: object) -> bool:
    """Whether it stands for data: a container, an array, an object with tensors."""
    return not is_a(value, *_NO_VALUES) and not callable(value)


def other_value_of(name: str, value: object, node: ast.expr | None, user: StackFrame, lineages: Lineages) -> OtherValue:
    """The facts of a value; `node` is the expression in the user's line that spells it, if one does."""
    code = user.frame.f_code
    site = site_of_node(node, code.co_filename, code.co_qualname) if node is not None else None
    return OtherValue(
        name,
        kind_of(value),
        parts=named_tensors(value, site.code if site is not None else name),
        meta=array_meta(value),
        site=site,
        lineage=lineages.of(node, None),
    )

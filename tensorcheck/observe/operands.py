"""From a tensor that a failed call was given to an operand: what it was, how its user spells it, where it came from."""

import ast

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from tensorcheck.calls import Operand
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.stack import StackFrame
from tensorcheck.observe.stood_for import numbers_of


def operand_of(name: str, tensor: Tensor, node: ast.expr | None, user: StackFrame, lineages: Lineages) -> Operand:
    """An operand; `node` is the expression in the user's line that spells it, if one does."""
    code = user.frame.f_code
    low, high = _bounds(tensor)
    return Operand(
        name,
        tensor_meta(tensor),
        site=site_of_node(node, code.co_filename, code.co_qualname) if node is not None else None,
        lineage=lineages.of(node, tensor_meta(tensor)),
        low=low,
        high=high,
        is_contiguous=_is_contiguous(tensor),
        grad_fn=type(tensor.grad_fn).__name__ if tensor.grad_fn is not None else "",
        is_inference=not is_lazy(tensor) and tensor.is_inference(),
    )


def _bounds(tensor: Tensor) -> tuple[int | None, int | None]:
    """Least and greatest of the whole numbers in memory of this machine; reading others would wait for a device."""
    if is_lazy(tensor):
        return None, None
    known = numbers_of(tensor)
    tensor = tensor if known is None else known
    is_whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized)
    is_here = tensor.device.type == "cpu" and not tensor.is_meta
    if not is_whole or not is_here or tensor.layout is not torch.strided or tensor.is_nested:
        return None, None
    try:
        with torch.no_grad():
            numbers = tensor.detach().to(torch.int64)
            return (int(numbers.min()), int(numbers.max())) if numbers.numel() else (None, None)
    except Exception:  # noqa: BLE001 - a subclass may refuse anything
        return None, None


def _is_contiguous(tensor: Tensor) -> bool:
    try:
        return tensor.is_contiguous()
    except Exception:  # noqa: BLE001 - not every layout has an answer
        return True

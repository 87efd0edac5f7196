"""Where tensors came from, read from the source and the frames of a crash."""

import ast
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from tensorcheck.calls import Operand
from tensorcheck.lineage import Lineage
from tensorcheck.observe.stack import StackFrame
from tensorcheck.trace import Trace


class Lineages:
    """Finds the lineage of expressions in the frames of one stack."""

    def __init__(self, frames: Sequence[StackFrame], trace: Trace | None = None) -> None:
        self._frames = frames
        self._trace = trace

    def of(self, node: ast.expr | None, user: StackFrame, tensor: Tensor | None) -> Lineage:
        """Where the value of an expression in this frame came from."""
        del node, user, tensor
        return Lineage()

    def of_settings(self, layer: nn.Module) -> dict[str, Lineage]:
        """Where each number that a layer was built with was written."""
        del layer
        return {}

    def through(self, operand: Operand, node: ast.expr, user: StackFrame) -> Operand:
        """An operand that began as this expression."""
        return replace(operand, lineage=self.of(node, user, None))

"""`assert_compiles`: a model is one graph for `torch.compile`."""

from typing import Any

import torch
from torch import nn

from tensorcheck.testing.rehearsing import copied, rehearsing
from tensorcheck.testing.training import explained


def assert_compiles(model: nn.Module, batch: Any) -> None:  # noqa: ANN401 - whatever a loader yields
    """`torch.compile` makes one graph of the model's forward; each break is named with its line.

    Nothing is compiled to machine code: the graph is made, and runs as eager does.

    >>> assert_compiles(nn.Linear(4, 2), torch.randn(8, 4))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal:
        with explained():
            rehearsal.outputs()
        torch._dynamo.reset()  # noqa: SLF001 - what was compiled before has its own graphs
        try:
            told = torch._dynamo.explain(rehearsal.model)(  # noqa: SLF001 - there is no public name
                *copied(rehearsal.given.args), **copied(rehearsal.given.kwargs)
            )
        except Exception as error:
            first = str(error).split("\n", maxsplit=1)[0]
            msg = f"`{type(model).__name__}` can't be compiled: {first}"
            raise AssertionError(msg) from error
        finally:
            torch._dynamo.reset()  # noqa: SLF001 - likewise
    if told.graph_break_count:
        lines = [line for reason in told.break_reasons for line in _lines(reason)]
        count = told.graph_break_count
        msg = f"`{type(model).__name__}` has {count} graph {'break' if count == 1 else 'breaks'}\n  "
        raise AssertionError(msg + "\n  ".join(dict.fromkeys(lines)))


def _lines(reason: Any) -> list[str]:  # noqa: ANN401 - a private class of dynamo
    frames = reason.user_stack
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    words = reason.reason.strip().split("\n", maxsplit=1)[0]
    code = f"\n    {frames[-1].line}" if frames and frames[-1].line else ""
    return [f"{where}{words}{code}"]

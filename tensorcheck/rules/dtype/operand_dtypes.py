"""TCK104."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import Fix
from tensorcheck.knowledge.dtypes import castings, dtype_places, named_in
from tensorcheck.knowledge.index_operands import index_operands, value_operands
from tensorcheck.optimizing import OddState
from tensorcheck.rule import Rule
from tensorcheck.tensors import NamedTensor, TensorMeta
from tensorcheck.wording import (
    each_line_once,
    expectation,
    first_that_fits,
    how_it_got_here,
    label_for,
    short,
    subject,
    within,
)

_IS_ABOUT_TWO_DTYPES = re.compile(
    r"same dtype|same scalar type|same type as|expected scalar type|object of scalar type|expected dtype|"
    r"\w+ did not match \w+$|dtypes match|dtypes must be the same|to be equal to src\.dtype|"
    r"must be the same dtype|same datatype|"
    r"expected attn_mask dtype|with grad_dtype|promotion|common dtype",
    re.IGNORECASE,
)
_USUAL = ("float32", "float64", "bfloat16", "float16", "int64")
"""Dtypes, the likeliest to be meant first."""


class OperandDtypes(Rule[Crashed]):
    """The operands of one operation have two dtypes.

    ## What it does
    Explains the exception of a product, of `einsum`, `scatter_add`, `torch.bmm` and of the other functions that don't
    convert their operands: which of them has which dtype, and where the odd one was made. It also finds an optimizer
    that keeps its averages in another dtype than its parameters have by now.

    ## Why it matters
    A sum converts its operands, a product of matrices doesn't: so a float64 array of NumPy's, or a tensor that was made
    under autocast, is noticed late, and the message (`expected scalar type Float but found Double`) names neither.

    ## Example
    ```python
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.directions = nn.Parameter(torch.ones(4, 2))

        def forward(self, rows):
            return rows @ self.directions

    model = Projected()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4, dtype=torch.float64))
    ```

    ## Use instead
    ```python
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.directions = nn.Parameter(torch.ones(4, 2))

        def forward(self, rows):
            return rows @ self.directions

    model = Projected()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 4, dtype=torch.float64).float())
    ```
    """

    code = "TCK104"
    name = "operand-dtypes"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the dtypes of the failed operation's operands."""
        call = event.call
        if call is None or event.loading is not None or not _IS_ABOUT_TWO_DTYPES.search(event.message):
            return
        if event.odd_state is not None:
            yield self._kept(event, event.odd_state)
        elif call.kind == "layer":
            yield from self._within_layer(event, call)
        elif call.kind == "operation" and call.function != "backward":
            yield from self._operation(event, call)

    def _operation(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        masks = (operand for operand, _ in index_operands(call) if "mask" in event.message)
        mask = next((operand for operand in masks if operand.meta.dtype != "bool"), None)
        pair = _pair(call)
        if mask is not None and call.first is not None:
            yield self._mask(event, call, mask)
        elif pair is not None:
            yield self._apart(event, call, *pair)
        else:
            yield from self._told(event, call)

    def _apart(self, event: Crashed, call: FailedCall, guilty: Operand, other: Operand) -> Finding:
        first, second = sorted((guilty, other), key=call.operands.index)
        named = f"{first.meta.dtype} `{short(first.spelled)}` and {second.meta.dtype} `{short(second.spelled)}`"
        function = subject(call, event.site)
        written = f"`{short(first.spelled)}` is {first.meta.dtype} but is written to with {second.meta.dtype}"
        headline = first_that_fits(
            *([written] if call.function == "setitem" else []),
            f"{function} got {named}",
            f"{function} got {guilty.meta.dtype} `{short(guilty.spelled, 24)}` beside {other.meta.dtype}",
            f"{function} got {guilty.meta.dtype} beside {other.meta.dtype}",
        )
        fixes = (*castings(guilty, other.meta.dtype), *castings(other, guilty.meta.dtype))
        found = self._found(event, headline, guilty, other.meta, fixes)
        is_learned = other.meta.requires_grad and other.meta.is_leaf
        came = () if is_learned else dtype_places(other)
        begun = tuple(dict.fromkeys((*came[:1], *came[-1:])))
        return replace(found, related=each_line_once((*found.related, *begun), found.site))

    def _mask(self, event: Crashed, call: FailedCall, mask: Operand) -> Finding:
        headline = f"{subject(call, event.site)} got {mask.meta.dtype} `{short(mask.spelled)}` as its mask"
        return self._found(
            event, headline, mask, TensorMeta(mask.meta.shape, "bool", ""), tuple(castings(mask, "bool"))
        )

    def _told(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        """An operand whose value is gone: its dtype as the message has it."""
        dtypes = list(dict.fromkeys(named_in(event.message)))
        values = value_operands(call)
        known = next((operand for operand in values if operand.meta.dtype in dtypes), None)
        if len(dtypes) != 2 or (known is None and values):  # noqa: PLR2004 - the message is about two
            return
        function = subject(call, event.site)
        if known is None:
            yield self.finding(f"{function} got {dtypes[0]} and {dtypes[1]}", site=event.site)
            return
        other = next(dtype for dtype in dtypes if dtype != known.meta.dtype)
        gone = f"`{short(call.unread[0].code)}`" if call.unread else "another tensor"
        headline = first_that_fits(
            f"{function} got {known.meta.dtype} `{short(known.spelled)}` and {other} {gone}",
            f"{function} got {known.meta.dtype} `{short(known.spelled)}` and {other}",
        )
        wanted = TensorMeta(known.meta.shape, other, "")
        yield self._found(event, headline, known, wanted, tuple(castings(known, other)))

    def _found(
        self, event: Crashed, headline: str, guilty: Operand, beside: TensorMeta, fixes: tuple[Fix, ...]
    ) -> Finding:
        meta = guilty.meta

        return self.finding(
            headline,
            label=label_for(headline, f"{meta.notation} beside {beside.notation}", meta.notation),
            expected=f"{TensorMeta(meta.shape, beside.dtype, '').notation}    beside {beside.notation}",
            got=f"{meta.notation}{within(event.modules)}",
            site=guilty.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=dtype_places(guilty),
            notes=tuple(_roles(event.message)),
            path=how_it_got_here(event.calls),
            help=next((fix.help for fix in fixes), ""),
            fixes=fixes,
        )

    def _within_layer(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        """A layer of which one parameter has another dtype than its weight."""
        layer = call.module
        floating = [tensor for tensor in layer.parameters if tensor.meta.is_floating_point] if layer is not None else []
        odd = next((tensor for tensor in floating[1:] if tensor.meta.dtype != floating[0].meta.dtype), None)
        if layer is None or odd is None or any(o.meta.dtype != floating[0].meta.dtype for o in value_operands(call)):
            return
        weight: NamedTensor = floating[0]
        start = f"{subject(call, event.site)} has a {odd.meta.dtype} `{odd.name}`"
        yield self.finding(
            f"{start} but its `{weight.name}` is {weight.meta.dtype}",
            label=f"{odd.meta.notation} beside {weight.meta.notation}",
            expected=expectation(TensorMeta(odd.meta.shape, weight.meta.dtype, "").notation, layer),
            got=odd.meta.notation,
            site=event.site,
            module=layer.path,
        )

    def _kept(self, event: Crashed, odd: OddState) -> Finding:
        """The averages of an optimizer whose model was converted since its last step."""
        headline = f"`{odd.optimizer}` keeps {odd.kept.dtype} `{odd.state}` for a {odd.parameter.dtype} parameter"
        return self.finding(
            headline,
            label=label_for(headline, f"{odd.kept.notation} beside {odd.parameter.notation}"),
            expected=f"{odd.state} {odd.parameter.notation}",
            got=f"{odd.state} {odd.kept.notation}",
            site=event.site,
            notes=("the parameters were converted after the optimizer had taken a step",),
        )


def _roles(message: str) -> Iterator[str]:
    """Which parameter has which dtype, if the message says so: `query is float32, value is float64`."""
    told = re.findall(r"(\w+)\.dtype: (.+?)(?= \w+\.dtype| and |\s*instead|$)", message)
    roles = [f"{name} is {dtype}" for name, words in told for dtype in named_in(words)]
    if roles:
        yield ", ".join(roles)


def _pair(call: FailedCall) -> tuple[Operand, Operand] | None:
    """Two operands of different dtypes, the one that is likelier wrong first."""
    values = value_operands(call)
    other = next((each for each in values[1:] if each.meta.dtype != values[0].meta.dtype), None)
    if other is None:
        return None
    return (other, values[0]) if _rank(values[0]) <= _rank(other) else (values[0], other)


def _rank(operand: Operand) -> tuple[bool, int]:
    """What is learned has the dtype that the model is meant to have; else the default is likelier meant."""
    is_learned = operand.meta.requires_grad and operand.meta.is_leaf
    dtype = operand.meta.dtype
    return not is_learned, _USUAL.index(dtype) if dtype in _USUAL else len(_USUAL)

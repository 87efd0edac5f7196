"""TCK413."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.differentiation import CustomFunction
from tensorcheck.events.crash import Crashed
from tensorcheck.events.gradients import GradientsBlocked
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits

_NUMBER = re.compile(
    r"function (?P<name>\w+?)Backward\d* returned an incorrect number of gradients "
    r"\(expected (?P<expected>\d+), got (?P<got>\d+)\)"
)
_SHAPE = re.compile(
    r"Function (?P<name>\w+?)Backward\d* returned an invalid gradient at index (?P<index>\d+) - got "
    r"(?P<got>\[[\d, ]*\]|\S+) but expected (?:shape compatible with |type |device )?(?P<expected>\[[\d, ]*\]|\S+)"
)
_KIND = re.compile(r"expected Variable or None \(got (?P<got>\S+)\)")
_MISSING = "must implement either the backward or vjp method"


class CustomFunctionGradient(Rule[Crashed | GradientsBlocked]):
    """A `torch.autograd.Function` returns gradients that do not fit its inputs.

    ## What it does
    Explains what autograd says to the result of a function's own `backward`: another number of gradients than its
    `forward` has arguments, a gradient of another shape than the argument that it is for, something that is no tensor,
    or no `backward` at all. It shows what the `backward` returns. Also finds, as a warning, a `backward` that returns
    None for an input on whose gradient parameters depend that an optimizer holds: that raises nothing.

    ## Why it matters
    The exception is raised at `loss.backward()`, and the stack does not lead into the function. An argument that needs
    no gradient, such as a factor, needs a `None` all the same.

    ## Example
    ```python
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor

    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        Scale.apply(model(torch.rand(16, 4)), 2.0).mean().backward()
    ```

    ## Use instead
    ```python
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor, None

    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        Scale.apply(model(torch.rand(16, 4)), 2.0).mean().backward()
    ```
    """

    code = "TCK413"
    name = "custom-function-gradient"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed | GradientsBlocked) -> Iterator[Finding]:
        """Compare what the function's backward gave with what it takes."""
        match event:
            case Crashed():
                yield from self._crashed(event)
            case GradientsBlocked(custom=CustomFunction() as function):
                yield replace(self._silent(event, function), severity=Severity.WARNING)
            case _:
                pass

    def _silent(self, event: GradientsBlocked, function: CustomFunction) -> Finding:
        count = counted(len(event.names), "parameter")
        applied = event.operation.site if event.operation is not None else None
        return self.finding(
            first_that_fits(
                f"`{function.name}.backward` returns None on the only way to {count}",
                f"a custom backward returns None on the only way to {count}",
            ),
            label="None for an input that wants a gradient",
            expected="a gradient for each input that requires one",
            got="None",
            site=function.backward or applied or event.backward,
            related=(Related(applied, f"`{function.name}` is applied here"),) if function.backward and applied else (),
            notes=(f"never learns: {listed_parameters(event.names, event.kinds)}",),
        )

    def _crashed(self, event: Crashed) -> Iterator[Finding]:
        custom = event.differentiation.custom if event.differentiation is not None else ()
        if (number := _NUMBER.search(event.message)) is not None:
            yield self._number(event, _named(custom, number["name"]), int(number["expected"]), int(number["got"]))
        elif (shape := _SHAPE.search(event.message)) is not None:
            function = _named(custom, shape["name"])
            if function.backward is not None:
                yield self._shape(event, function, shape)
        elif (kind := _KIND.search(event.message)) is not None and custom:
            yield self._kind(event, custom, kind["got"])
        elif _MISSING in event.message:
            yield self._missing(event, custom)

    def _number(self, event: Crashed, function: CustomFunction, expected: int, got: int) -> Finding:
        code = function.backward.source.strip() if function.backward is not None else ""
        missing = ", None" * (expected - got)
        return self.finding(
            f"`{function.name}.backward` returns {counted(got, 'gradient')} for {counted(expected, 'input')}",
            label=f"{counted(got, 'gradient')} for {counted(expected, 'input')}",
            expected=f"{counted(expected, 'gradient')}, one for each argument of `forward`",
            got=counted(got, "gradient"),
            site=function.backward or event.site,
            related=_related(event, function),
            help=f"{code}{missing}    with None where no gradient is needed" if code and missing else "",
        )

    def _shape(self, event: Crashed, function: CustomFunction, told: re.Match[str]) -> Finding:
        got, expected, index = told["got"], told["expected"], told["index"]
        return self.finding(
            first_that_fits(
                f"`{function.name}.backward` returns a gradient of {got} for an input of {expected}",
                f"`{function.name}.backward` returns {got} for {expected}",
            ),
            label=f"{got} for an input of {expected}",
            expected=f"a gradient of {expected} for argument {index} of `forward`",
            got=f"a gradient of {got}",
            site=function.backward or event.site,
            related=_related(event, function),
        )

    def _kind(self, event: Crashed, custom: tuple[CustomFunction, ...], got: str) -> Finding:
        name = custom[0].name if len(custom) == 1 else "a function"
        names = ", ".join(f"`{each.name}`" for each in custom)
        site = custom[0].backward if len(custom) == 1 else None
        return self.finding(
            first_that_fits(f"`{name}.backward` returns {got} where a tensor has to be", f"`{name}.backward`: {got}"),
            label=f"returns {got}",
            expected="tensors, and None for what needs no gradient",
            got=got,
            site=site or event.site,
            related=_related(event, custom[0]) if len(custom) == 1 else (),
            notes=(f"custom functions in this graph: {names}",) if len(custom) > 1 else (),
        )

    def _missing(self, event: Crashed, custom: tuple[CustomFunction, ...]) -> Finding:
        function = next((each for each in custom if each.backward is None), CustomFunction("the function", 1))
        gradients = ", ".join(["grad"] * function.gradients)
        return self.finding(
            f"`{function.name}` has a forward and no backward",
            label="no `backward` beside it",
            expected="a static method `backward` that returns a gradient for each argument of `forward`",
            got="`forward` alone",
            site=function.forward or event.site,
            related=_related(event, function),
            notes=(f"its `forward` takes {counted(function.gradients, 'argument')}: {gradients}",) if gradients else (),
        )


def _named(custom: tuple[CustomFunction, ...], name: str) -> CustomFunction:
    return next((each for each in custom if each.name == name), CustomFunction(name, 0))


def _related(event: Crashed, function: CustomFunction) -> tuple[Related, ...]:
    shown = function.backward or function.forward
    if event.site is None or shown is None:
        return ()
    return (Related(event.site, "the backward pass that calls it is started here"),)

"""TCK219."""

import ast
from collections.abc import Iterator

from tensorcheck.elementwise import spelled_operands
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Origin, Trace
from tensorcheck.wording import first_that_fits


class ChannelsLastInput(Rule[StepTraced]):
    """A convolution takes the rows of images that have their channels last for channels.

    ## What it does
    Finds square images such as `[32, 28, 28, 1]` or `[8, 64, 64, 3]` that come into a `conv2d` as they are, which works
    because the layer was built for as many channels as they have rows.

    ## Why it matters
    The kernel moves over columns and colours, and has weights for each row of its own: what it learns at one height it
    does not know at another.

    ## Example
    ```python
    model = nn.Conv2d(28, 8, 3, padding=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(32, 28, 28, 1)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Conv2d(1, 8, 3, padding=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(32, 28, 28, 1).permute(0, 3, 1, 2)).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    The first step is looked at. Images that are not square are let pass, for electrodes and features come in such
    shapes too; so is what was computed by a layer before.
    """

    code = "TCK219"
    name = "channels-last-input"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The convolutions of the first step."""
        for operation in event.trace.operations:
            if operation.name == "conv2d" and operation.inputs:
                yield from self._of(event.trace, operation)

    def _of(self, trace: Trace, operation: Operation) -> Iterator[Finding]:
        image = trace.values[operation.inputs[0]].meta
        source = _source(trace, operation.inputs[0])
        if source is None or not _is_channels_last(image.shape):
            return
        rows, channels = image.shape[1], image.shape[3]
        site = operation.site
        title = operation.module or operation.name
        yield self.finding(
            first_that_fits(
                f"`{title}` takes the {rows} rows of images with {channels} channels for channels",
                f"the {rows} rows of images with {channels} channels are taken for channels",
            ),
            label=image.notation,
            expected=f"{image.dtype}[{image.shape[0]}, {channels}, {rows}, {rows}]",
            got=f"{image.notation}    the channels are last",
            site=site,
            module=operation.module or None,
            related=(Related(source, "the images are made here"),) if source != site and source.line else (),
            notes=(f"the layer was built for {rows} channels, and has to be built for {channels}",),
            help=_help(site),
        )


_IMAGES = 4
_CHANNELS = frozenset({1, 3, 4})
_LEAST = 8
_MAKING = frozenset({"rand", "randn", "zeros", "ones", "stack", "from_numpy", "as_tensor", "tensor"})
_NOWHERE = Site("", 0)


def _is_channels_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == _IMAGES and shape[1] == shape[2] >= _LEAST and shape[3] in _CHANNELS


def _source(trace: Trace, place: int) -> Site | None:
    """Where images were made that came in as they are; None of what a layer computed."""
    shape = trace.values[place].meta.shape
    while trace.values[place].meta.shape == shape:
        value = trace.values[place]
        if value.operation is None or value.origin is Origin.BATCH:
            return _NOWHERE
        operation = trace.operations[value.operation]
        before = next((other for other in operation.inputs if trace.values[other].meta.shape == shape), None)
        if before is None:
            return (operation.site or _NOWHERE) if operation.name in _MAKING else None
        place = before
    return None


def _help(site: Site | None) -> str:
    spelled = spelled_operands(site.code, 1) if site is not None else []
    if site is None or len(spelled) != 1:
        return ""
    node = ast.parse(spelled[0], mode="eval").body
    code = f"({spelled[0]})" if isinstance(node, ast.BinOp | ast.UnaryOp) else spelled[0]
    return site.code.replace(spelled[0], f"{code}.permute(0, 3, 1, 2)", 1)

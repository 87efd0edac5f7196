"""TCK211."""

from collections.abc import Iterator, Sequence

from tensorcheck.calls import FailedCall
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.windows import Overrun, overrun_of
from tensorcheck.lineage import Lineage, Step
from tensorcheck.lineage_wording import made, settled
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for, title, titled


class WindowLargerThanInput(Rule[Crashed]):
    """A kernel, a pooling window or a padding is larger than what it moves over.

    ## What it does
    Explains the exception of a convolution, a pooling, a padding or an unfolding that has no room in its input, so that
    nothing or less than nothing would be left: how far the window spans, how large its input is, and how it got so.

    ## Why it matters
    Each stride and each pooling makes its input smaller; a network that was made for large images or long texts has
    nothing left of small or short ones. The message has the sizes, but neither the layer nor where they came from.

    ## Example
    ```python
    model = nn.Sequential(nn.Conv1d(2, 4, 5))
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 2, 3))
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Conv1d(2, 4, 5, padding=2))
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(8, 2, 3))
    ```
    """

    code = "TCK211"
    name = "window-larger-than-input"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the failed call's window with its input."""
        overrun = overrun_of(event.call, event.message) if event.call is not None else None
        if event.call is not None and overrun is not None:
            yield self._found(event, event.call, overrun)

    def _found(self, event: Crashed, call: FailedCall, overrun: Overrun) -> Finding:
        layer = call.module
        untitled = [each.replace(titled(layer), title(layer), 1) for each in overrun.headlines] if layer else []
        headline = first_that_fits(*overrun.headlines, *untitled)
        given = call.first
        return self.finding(
            headline,
            label=label_for(headline, str(given.meta), given.meta.notation) if given is not None else "",
            expected=overrun.wanted,
            got=given.meta.notation if given is not None else "",
            site=given.site if given is not None and given.site is not None else event.site,
            module=call.module.path if call.module is not None else None,
            related=tuple(_places(call, overrun)),
            notes=(overrun.note,) if overrun.note else (),
            path=how_it_got_here(event.calls),
            fixes=overrun.fixes,
        )


def _sizes(lineage: Lineage, small: Sequence[int]) -> Iterator[Related]:
    """Where the sizes of its maker came from: those that are small, else those that may have been."""
    sizes = [size for size in lineage.sizes() if size.site is not None]
    known = [size for size in sizes if size.value in small]
    for size in known or [size for size in sizes if size.value is None and size.step is Step.ASSIGNED][:1]:
        if size.site is not None:
            said = f"is {size.value} here" if known else "gives it its size"
            yield Related(size.site, f"`{size.name}` {said}")


def _places(call: FailedCall, overrun: Overrun) -> Iterator[Related]:
    """Where the input got so small, and where the window was written."""
    given = call.first
    if given is not None and overrun.dims:
        small = given.meta.shape[-overrun.dims :]

        def is_small(meta: TensorMeta) -> bool:
            return meta.shape[-len(small) :] == small

        yield from made(given, is_small, " x ".join(map(str, small)))
        yield from _sizes(given.lineage, small)
    if overrun.setting and call.module is not None:
        yield from settled(call, call.module, overrun.setting)

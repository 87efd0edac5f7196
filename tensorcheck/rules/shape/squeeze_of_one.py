"""TCK217."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.loading import BatchLoaded
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.last_batches import SeenLoaders, loaded_here
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Origin, Trace
from tensorcheck.wording import first_that_fits, short


class SqueezeOfOne(Rule[StepTraced | BatchLoaded]):
    """A `squeeze()` without a dim drops the batch too, as soon as a batch has one sample.

    ## What it does
    Finds `squeeze()` without a dim of a tensor whose first dim is the batch, where a DataLoader will hand out a batch
    of one: because one sample is left over for the last batch, or because an evaluation takes them one by one.

    ## Why it matters
    `[32, 1]` becomes `[32]`, but `[1, 1]` becomes a number without dims. At the end of the epoch the loss raises or
    broadcasts, or what is collected over batches can't be put together, after hours of training.

    ## Example
    ```python
    data = torch.utils.data.TensorDataset(torch.rand(33, 4), torch.rand(33))
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for rows, prices in torch.utils.data.DataLoader(data, batch_size=8):
            loss = ((model(rows).squeeze() - prices) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    ```

    ## Use instead
    ```python
    data = torch.utils.data.TensorDataset(torch.rand(33, 4), torch.rand(33))
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for rows, prices in torch.utils.data.DataLoader(data, batch_size=8):
            loss = ((model(rows).squeeze(1) - prices) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    ```

    ## Limits
    The first step is looked at. Where no DataLoader hands out the batches, nothing is said, for then nothing says
    that a batch of one will come.
    """

    code = "TCK217"
    name = "squeeze-of-one"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._loaders = SeenLoaders()
        self._inside: list[tuple[Trace, Operation]] = []
        """What the model itself squeezes: an evaluation comes by there too."""

    def check(self, event: StepTraced | BatchLoaded) -> Iterator[Finding]:
        """Look for it in the first step, and again when a loader of single samples is seen."""
        if isinstance(event, BatchLoaded):
            self._loaders.saw(event)
            if event.loader.batch_size == 1:
                yield from (self._of(*each, event) for each in self._inside)
                self._inside.clear()
            return
        for operation, batch in _squeezes(event.trace):
            loaded = self._loaders.ending_with(1, batch)
            if loaded is not None:
                yield self._of(event.trace, operation, loaded)
            elif operation.kind and self._loaders.of_size(batch) is not None:
                self._inside.append((event.trace, operation))

    def _of(self, trace: Trace, operation: Operation, loaded: BatchLoaded) -> Finding:
        before, after = (trace.values[places[0]].meta for places in (operation.inputs, operation.outputs))
        dims = [dim for dim, size in enumerate(before.shape) if size == 1]
        code = operation.site.code if operation.site is not None else "squeeze()"
        single = replace(before, shape=(1, *before.shape[1:]))
        last = "the last batch" if loaded.loader.batch_size != 1 else "each batch of the evaluation"
        return self.finding(
            first_that_fits(
                f"`{short(code)}` makes {_without_ones(single.shape)} of {list(single.shape)}, a batch of one",
                f"`squeeze()` makes {_without_ones(single.shape)} of {list(single.shape)}, a batch of one",
                "`squeeze()` drops the batch where it has one sample",
            ),
            label=f"{before.notation} becomes {after.notation}",
            expected=f"{after.dtype}[1{''.join(f', {size}' for size in after.shape[1:])}] of a batch of one",
            got=f"{after.dtype}{_without_ones(single.shape)}    {last} has one sample",
            site=operation.site,
            module=operation.module or None,
            related=loaded_here(loaded),
            help=_help(code, dims),
        )


def _squeezes(trace: Trace) -> Iterator[tuple[Operation, int]]:
    """The squeezes without a dim of what has the batch first, with how many samples that is."""
    loaded = {value.meta.shape[0] for value in trace.values if value.origin is Origin.BATCH and value.meta.shape}
    for operation in trace.operations:
        if operation.name == "squeeze" and operation.inputs and _is_bare(operation.site):
            shape = trace.values[operation.inputs[0]].meta.shape
            if shape and shape[0] in loaded and shape[0] > 1:
                yield operation, shape[0]


def _is_bare(site: Site | None) -> bool:
    return site is not None and re.search(r"\.squeeze\(\)$|^torch\.squeeze\([^,=]+\)$", site.code) is not None


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _help(code: str, dims: list[int]) -> str:
    """The dim that is meant, or the tensor itself where there is none."""
    if not code.endswith(".squeeze()") or len(dims) > 1:
        return ""
    return code.replace(".squeeze()", f".squeeze({dims[0]})" if dims else "")

"""TCK218."""

import ast
from collections.abc import Iterator

from tensorcheck.events.forward import ModuleCalled
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.last_batches import SeenLoaders, loaded_here
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Origin, Trace
from tensorcheck.wording import first_that_fits, short


class LastBatch(Rule[StepTraced | BatchLoaded | ModuleCalled]):
    """The last batch of the epoch will be smaller, and something in the model or the loop will not bear that.

    ## What it does
    Knows from the DataLoader's length, in the first step, how many samples are left over for the last batch. It finds
    batch normalisation that will be given a single value per channel, a hidden state that was made for a whole batch
    and is handed on from batch to batch, and a `view` with the size of a batch written out.

    ## Why it matters
    All of it raises, or mixes samples up, but only at the end of the first epoch.

    ## Example
    ```python
    data = torch.utils.data.TensorDataset(torch.rand(33, 4), torch.rand(33, 8))
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        rows, targets = next(iter(torch.utils.data.DataLoader(data, batch_size=8)))
        nn.functional.mse_loss(model(rows), targets).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    data = torch.utils.data.TensorDataset(torch.rand(33, 4), torch.rand(33, 8))
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        rows, targets = next(iter(torch.utils.data.DataLoader(data, batch_size=8, drop_last=True)))
        nn.functional.mse_loss(model(rows), targets).backward()
        optimizer.step()
    ```

    ## Limits
    The first step is looked at, and batches of a DataLoader that knows its length. `squeeze()` is told of by TCK217.
    """

    code = "TCK218"
    name = "last-batch"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._loaders = SeenLoaders()
        self._training: set[str] = set()
        """The paths of the modules that were called in training mode."""

    def check(self, event: StepTraced | BatchLoaded | ModuleCalled) -> Iterator[Finding]:
        """Learn of the loaders; then look at what the first step did with a batch."""
        if isinstance(event, BatchLoaded):
            self._loaders.saw(event)
            return
        if isinstance(event, ModuleCalled):
            self._training |= {event.module.path} if event.module.settings.get("training") is True else set()
            return
        trace, seen = event.trace, set()
        for operation in trace.operations:
            if operation.site in seen:
                continue
            finding = self._of_norm(trace, operation) or self._of_rest(trace, operation)
            if finding is not None:
                seen.add(operation.site)
                yield finding

    def _of_norm(self, trace: Trace, operation: Operation) -> Finding | None:
        if operation.name != "batch_norm" or operation.module not in self._training or not operation.inputs:
            return None
        shape = trace.values[operation.inputs[0]].meta.shape
        is_single = len(shape) > 1 and all(size == 1 for size in shape[2:])
        loaded = self._loaders.ending_with(1, shape[0]) if is_single else None
        if loaded is None:
            return None
        return self._found(
            operation,
            loaded,
            f"`{short(operation.module or operation.kind)}` will get 1 sample in the last batch, not {shape[0]}",
            "more than one value per channel, to take their mean and spread",
        )

    def _of_rest(self, trace: Trace, operation: Operation) -> Finding | None:
        batch = _batch_of_state(trace, operation)
        if batch is not None and (loaded := self._loaders.shorter(batch)) is not None:
            left = loaded.loader.left_over
            headline = (
                f"`{short(operation.module or operation.name)}` keeps a state for {batch} samples, and {left} come last"
            )
            return self._found(operation, loaded, headline, f"a hidden state for the {left} samples of the last batch")
        batch = _written_batch(trace, operation)
        if batch is not None and operation.site is not None and (loaded := self._loaders.shorter(batch)) is not None:
            left, code = loaded.loader.left_over, short(operation.site.code)
            headline = f"`{code}` has {batch} written out, and the last batch has {left}"
            return self._found(operation, loaded, headline, "the size of the batch that came")
        return None

    def _found(self, operation: Operation, loaded: BatchLoaded, headline: str, expected: str) -> Finding:
        loader = loaded.loader
        return self.finding(
            first_that_fits(headline, f"the last batch will have {loader.left_over} of {loader.batch_size} samples"),
            label=f"{loader.left_over} left over",
            expected=expected,
            got=f"{loader.samples} samples in batches of {loader.batch_size}: the last has {loader.left_over}",
            site=operation.site,
            module=operation.module or None,
            related=loaded_here(loaded),
            help="drop_last=True in the DataLoader",
        )


_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_STATE_RANK = 3


def _batch_of_state(trace: Trace, operation: Operation) -> int | None:
    """For how many samples a hidden state was made, if that was before the batch came; None where it was not."""
    if operation.name not in _RECURRENT or len(operation.inputs) < len("xh"):
        return None
    state = operation.inputs[1]
    shape = trace.values[state].meta.shape
    first = min((place for place, value in enumerate(trace.values) if value.origin is Origin.BATCH), default=None)
    if first is None or len(shape) != _STATE_RANK or trace.values[state].origin is Origin.PARAMETER:
        return None
    is_kept = trace.values[state].origin in (Origin.BUFFER, Origin.ATTRIBUTE) or state < first
    is_computed = any(trace.values[place].origin is Origin.PARAMETER for place in trace.ancestors(state))
    return shape[1] if is_kept and not is_computed else None


def _written_batch(trace: Trace, operation: Operation) -> int | None:
    """The size of the batch, where a reshape has it written out as a number."""
    size = _first_number(operation.site) if operation.name in ("view", "reshape") else None
    loaded = {value.meta.shape[0] for value in trace.values if value.origin is Origin.BATCH and value.meta.shape}
    shape = trace.values[operation.outputs[0]].meta.shape if operation.outputs else ()
    before = trace.values[operation.inputs[0]].meta.shape if operation.inputs else ()
    return size if size is not None and size in loaded and size > 1 and shape[:1] == before[:1] == (size,) else None


def _first_number(site: Site | None) -> int | None:
    """The first size of a written reshape, where it is a plain number."""
    if site is None:
        return None
    try:
        node = ast.parse(site.code, mode="eval").body
    except SyntaxError:
        return None
    match node:
        case ast.Call(ast.Attribute(_, "view" | "reshape"), [ast.Constant(int() as size), _, *_]):
            return size
    return None

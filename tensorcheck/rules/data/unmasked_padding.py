"""TCK715."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.loading import PaddingSeen
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.padded_values import Padded, entered_unmasked
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Origin, Trace


class UnmaskedPadding(Rule[PaddingSeen | StepTraced]):
    """Padding enters a mean over the positions, or a loss, as if it were data.

    ## What it does
    Looks in the first step for tensors that end in the same value, sooner in one sample than in another, follows what
    is made of them, and finds the mean over their positions or the loss of all of them that no mask came before.

    ## Why it matters
    A short sample's mean is mostly padding, and so its answer depends on how long the longest of its batch happens to
    be: the same sample is answered otherwise in another batch. A loss over padding is small because padding is easy,
    and the model learns to write it.

    ## Example
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8, padding_idx=0)
            self.head = nn.Linear(8, 2)

        def forward(self, ids):
            return self.head(self.embedding(ids).mean(dim=1))

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sentences = [torch.arange(1, length) for length in (4, 6, 9, 12)]
    with tensorcheck.watch(model) as watch:
        ids = nn.utils.rnn.pad_sequence(sentences, batch_first=True)
        nn.functional.cross_entropy(model(ids), torch.tensor([0, 1, 0, 1])).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8, padding_idx=0)
            self.head = nn.Linear(8, 2)

        def forward(self, ids):
            mask = (ids != 0).unsqueeze(-1)
            return self.head((self.embedding(ids) * mask).sum(dim=1) / mask.sum(dim=1))

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sentences = [torch.arange(1, length) for length in (4, 6, 9, 12)]
    with tensorcheck.watch(model) as watch:
        ids = nn.utils.rnn.pad_sequence(sentences, batch_first=True)
        nn.functional.cross_entropy(model(ids), torch.tensor([0, 1, 0, 1])).backward()
        optimizer.step()
    ```

    ## Limits
    Only the first step is looked at, and only batches of at least four samples whose size is not their length. What
    was multiplied by, filled from or indexed with anything that depends on the data counts as masked, except in
    attention, which leaves padding at its own positions. A cross-entropy has `ignore_index`, and a rule of its own.
    """

    code = "TCK715"
    name = "unmasked-padding"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._seen: list[PaddingSeen] = []

    def check(self, event: PaddingSeen | StepTraced) -> Iterator[Finding]:
        """Keep what is padded until the step is over."""
        if isinstance(event, PaddingSeen):
            self._seen.append(event)
            return
        seen, self._seen = self._seen, []
        entered = next(_entered(event.trace, seen), None)
        if entered is not None:
            yield self._finding(event.trace, *entered)

    def _finding(self, trace: Trace, padding: PaddingSeen, operation: Operation, value: int) -> Finding:
        all_positions = padding.samples * padding.length
        is_mean = "loss" not in operation.name and "cross_entropy" not in operation.name and operation.name != "kl_div"
        is_batch_first = trace.values[value].meta.shape[:2] == (padding.samples, padding.length)
        shape, made = trace.values[value].meta.notation, trace.values[operation.outputs[0]].meta.notation
        source = padding.made or _made(trace, padding)
        return self.finding(
            f"`{operation.name}` takes in {padding.padding} of {all_positions} positions that are padding",
            label="padding counts like data",
            expected=f"the {all_positions - padding.padding} positions that are data",
            got=f"{shape} -> {made}    padded with {padding.pad}",
            site=operation.site,
            module=operation.module or None,
            related=(Related(source, "what is padded"),) if source is not None and source != operation.site else (),
            help=(_OF_A_MEAN if is_batch_first else "") if is_mean else _OF_A_LOSS,
        )


_OF_A_MEAN = "(x * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)"
_OF_A_LOSS = 'reduction="none", then (loss * mask).sum() / mask.sum()'


def _entered(trace: Trace, seen: Sequence[PaddingSeen]) -> Iterator[tuple[PaddingSeen, Operation, int]]:
    for padding in seen:
        roots = frozenset(_roots(trace, padding))
        others = frozenset(place for each in seen if _is_alike(each, padding) for place in _roots(trace, each))
        for operation, value in entered_unmasked(trace, roots | others, Padded(padding.samples, padding.length)):
            yield padding, operation, value


def _is_alike(one: PaddingSeen, other: PaddingSeen) -> bool:
    return (one.samples, one.length, one.padding) == (other.samples, other.length, other.padding)


def _roots(trace: Trace, padding: PaddingSeen) -> Iterator[int]:
    if padding.value is not None:
        yield padding.value
        return
    for place, value in enumerate(trace.values):
        if value.origin is Origin.BATCH and value.name == padding.name:
            yield place


def _made(trace: Trace, padding: PaddingSeen) -> Site | None:
    """Where the tensor was made, by an operation that was seen."""
    made = trace.values[padding.value].operation if padding.value is not None else None
    return trace.operations[made].site if made is not None else None

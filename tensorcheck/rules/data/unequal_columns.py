"""TCK704."""

import math
import re
from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.loading_words import made_at, places
from tensorcheck.loading import Loading
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, short

_UNPACKED = re.compile(r"values to unpack \(expected (\d+)(?:, got (\d+))?\)")


class UnequalColumns(Rule[Crashed]):
    """The columns of a dataset, the parts of a split, or the fields of a batch and the names for them do not match.

    ## What it does
    Explains the exceptions of a TensorDataset whose tensors have different numbers of rows, of `random_split` with
    lengths that are not the dataset's together, and of a loop that unpacks another number of fields than a batch has.

    ## Why it matters
    `Size mismatch between tensors` tells neither which tensors nor their sizes. Where one of two columns was filtered
    or cut and the other was not, every label after that place belongs to another row.

    ## Example
    ```python
    rows = torch.zeros(8, 4)
    labels = torch.zeros(7)
    loader = torch.utils.data.DataLoader([0, 1], batch_size=2)
    with tensorcheck.watch(loader) as watch:
        torch.utils.data.TensorDataset(rows, labels)
    ```

    ## Use instead
    ```python
    rows = torch.zeros(8, 4)
    labels = torch.zeros(8)
    loader = torch.utils.data.DataLoader([0, 1], batch_size=2)
    with tensorcheck.watch(loader) as watch:
        torch.utils.data.TensorDataset(rows, labels)
    ```
    """

    code = "TCK704"
    name = "unequal-columns"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the sizes."""
        loading = event.loading
        match loading:
            case Loading(part="columns") if loading.columns and "Size mismatch" in event.message:
                yield self._columns(event, loading)
            case Loading(part="split") if loading.lengths and "Sum of input lengths" in event.message:
                yield self._split(event, loading)
            case Loading(part="unpacking"):
                yield from self._unpacked(event, loading)

    def _columns(self, event: Crashed, loading: Loading) -> Finding:
        rows = [meta.shape[0] if meta.shape else 0 for meta in loading.columns]
        usual = max(rows, key=rows.count)
        odd = next((place for place, count in enumerate(rows) if count != usual), 0)
        other = rows.index(usual)
        names = [_column_name(event, loading, place) for place in range(len(rows))]
        headline = first_that_fits(
            f"{names[odd]} has {counted(rows[odd], 'row')}, but {names[other]} has {usual}",
            f"Column {odd} has {counted(rows[odd], 'row')}, but column {other} has {usual}",
        )
        operands = event.call.operands if event.call is not None and len(event.call.operands) == len(rows) else ()
        related = (
            [each for operand in (operands[odd], operands[other]) for each in made_at(operand.lineage, most=3)]
            if operands
            else []
        )
        return self.finding(
            headline,
            label=f"{loading.columns[other].notation} and {loading.columns[odd].notation}"[: len(headline) - 1],
            expected=f"{loading.columns[other].notation}    {names[other]}",
            got=f"{loading.columns[odd].notation}    {names[odd]}",
            site=event.site,
            related=places(event, loading, event.site, *related),
        )

    def _split(self, event: Crashed, loading: Loading) -> Finding:
        together = math.fsum(loading.lengths)
        total = f"{together:g}"
        are_fractions = any(isinstance(length, float) for length in loading.lengths)
        parts = short(str(list(loading.lengths)))
        has = f"`{loading.dataset}` has {loading.length}"
        headline = f"The parts {parts} are {total} together, but {has}"
        return self.finding(
            headline,
            label=f"{total} of {loading.length}",
            expected="fractions that are 1 together"
            if are_fractions
            else f"lengths that are {loading.length} together",
            got=f"{' + '.join(map(str, loading.lengths))} = {total}",
            site=event.site,
            related=tuple(_lengths_made(event)),
            help="" if are_fractions else _remainder(event),
        )

    def _unpacked(self, event: Crashed, loading: Loading) -> Iterator[Finding]:
        said = _UNPACKED.search(event.message)
        if said is None:
            return
        wanted, has = int(said[1]), said[2] or (str(len(loading.fields)) if loading.fields else "more")
        headline = f"The line unpacks {counted(wanted, 'field')}, but a batch has {has}"
        item = [Related(loading.item_site, "the dataset hands the fields out here")] if loading.item_site else []
        yield self.finding(
            headline,
            label=f"{wanted} names, {has} fields",
            expected=f"{wanted}: {', '.join(loading.unpacked)}",
            got=f"{has}{': ' + ', '.join(loading.fields) if loading.fields else ''}",
            site=event.site,
            related=places(event, loading, event.site, *item),
        )


def _column_name(event: Crashed, loading: Loading, place: int) -> str:
    operands = event.call.operands if event.call is not None else ()
    is_spelled = len(operands) == len(loading.columns)
    return f"`{short(operands[place].spelled)}`" if is_spelled else f"column {place}"


def _lengths_made(event: Crashed) -> Iterator[Related]:
    setting = event.call.settings[-1] if event.call is not None and event.call.settings else None
    if setting is not None:
        yield from made_at(setting.lineage)


def _remainder(event: Crashed) -> str:
    """The two lengths with the second one as what the first leaves."""
    call = event.call
    lengths = call.settings[-1] if call is not None and call.settings else None
    code = lengths.site.code if lengths is not None and lengths.site is not None else ""
    parts = re.fullmatch(r"\[\s*([^,\[\]]+),\s*[^,\[\]]+\]", code)
    given = re.match(r"[\w.]*random_split\((\w[\w.]*),", event.site.code if event.site is not None else "")
    return f"[{parts[1]}, len({given[1]}) - {parts[1]}]" if parts and given else ""

"""TCK701."""

import re
from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.loading_words import circumstances, field_site, field_title, made_at, places
from tensorcheck.loading import Fault, Loading, Sample, Value
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, label_for, short

_STACKED = re.compile(
    r"stack expects each tensor to be equal size, but got \[(.*?)\] at entry 0 and \[(.*?)\] at entry (\d+)"
)
_SAID = re.compile(
    r"stack expects each tensor|each element in list of batch should be of equal size|expected Tensor as element"
    r"|only one element tensors can be converted|indices must be integers or slices|is not on the expected device"
)


class UnequalSamples(Rule[Crashed]):
    """The samples of one batch differ, so that they can't be stacked.

    ## What it does
    Explains the exception of a DataLoader that finds samples of other shapes, lengths, keys or types in one batch:
    which field, which samples of the dataset, what each of them is, and where the dataset's own source makes the field.

    ## Why it matters
    `stack expects each tensor to be equal size` names neither the field nor the sample, and counts the samples within
    a shuffled batch. Images that were not resized, sentences that were not padded and a label that is missing now and
    then all end so, often after thousands of good batches.

    ## Example
    ```python
    class Signals(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return {"signal": torch.zeros(8 + index), "label": 0}

    loader = torch.utils.data.DataLoader(Signals(), batch_size=2)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```

    ## Use instead
    ```python
    class Signals(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return {"signal": torch.zeros(8), "label": 0}

    loader = torch.utils.data.DataLoader(Signals(), batch_size=2)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```

    ## Limits
    Samples that a worker made are asked for again after the crash, by their indices. Where these are not known, or the
    samples come from an iterable-style dataset, what is said is what the message said. Random samples may differ.
    """

    code = "TCK701"
    name = "unequal-samples"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the samples."""
        loading = event.loading
        if loading is None or loading.part != "collate":
            return
        stacked = _STACKED.search(event.message)
        fault = _believed(loading, event.message)
        if fault is not None and fault.mismatch is not None:
            yield self._compared(event, loading, fault)
        elif stacked is not None and (fault is None or loading.collate):
            yield self._told(event, loading, stacked)
        elif fault is None and _SAID.search(event.message):
            yield self._found(event, loading, "The samples of a batch differ in length or type")

    def _compared(self, event: Crashed, loading: Loading, fault: Fault) -> Finding:
        odd, other = fault.odd.name, fault.other.name if fault.other is not None else "another sample"
        mine, its = _shown(fault, fault.odd_value), _shown(fault, fault.other_value)
        field = field_title(fault)
        if fault.mismatch == "keys":
            headline = f"{odd.capitalize()} has no {field}, but {other} has"
        elif field:
            headline = first_that_fits(
                f"{field} is {its} in {other} but {mine} in {odd}", f"{field} is {its} or {mine}"
            )
        else:
            headline = f"{odd.capitalize()} is {mine}, but {other} is {its}"
        return self._found(
            event,
            loading,
            headline,
            fault=fault,
            label=label_for(headline, f"{its} and {mine}", mine),
            expected=f"{_whole(fault, fault.other_value)} as in {other}",
            got=f"{_whole(fault, fault.odd_value)} in {odd}",
        )

    def _told(self, event: Crashed, loading: Loading, stacked: "re.Match[str]") -> Finding:
        """What the message says of two entries of the batch."""
        first, second, entry = stacked[1], stacked[2], int(stacked[3])
        names = [Sample(index).name for index in loading.indices]
        other = names[0] if names else "entry 0"
        odd = names[entry] if entry < len(names) else f"entry {entry}"
        called = f"`{loading.collate}` stacks" if loading.collate else "A batch has"
        headline = f"{called} [{first}] of {other} and [{second}] of {odd}"
        notes = ("asked again, the samples agree or differ otherwise: they are random",) if loading.is_asked else ()
        return self._found(
            event, loading, headline, expected=f"[{first}] as in {other}", got=f"[{second}] in {odd}", notes=notes
        )

    def _found(self, event: Crashed, loading: Loading, headline: str, **parts: object) -> Finding:
        fault = parts.pop("fault", None)
        known = fault if isinstance(fault, Fault) else None
        of_user = loading.failure.site if loading.failure is not None and loading.collate else None
        site = of_user or (field_site(known) if known is not None else None) or loading.item_site or event.site
        cut = () if loading.cut is None else (str(loading.cut),)
        notes = (*cut, *circumstances(loading), *parts.pop("notes", ()))  # type: ignore[misc]  # a tuple of ours
        field = field_site(known) if known is not None else loading.item_site
        handed = [Related(field, "the dataset hands it out here")] if field is not None else []
        related = places(event, loading, site, *handed, *_made(loading, known))
        return self.finding(headline, site=site, related=related, notes=notes, **parts)


def _believed(loading: Loading, message: str) -> Fault | None:
    """The samples' first fault, where it is what the message says; samples asked again may be others."""
    stacked, fault = _STACKED.search(message), loading.fault
    if stacked is None or fault is None:
        return None if loading.collate else fault
    shapes = [str(list(meta.shape)) for meta in _metas(loading, fault)]
    said = {f"[{stacked[1]}]", f"[{stacked[2]}]"}
    return fault if fault.mismatch == "shape" and said <= set(shapes) else None


def _metas(loading: Loading, fault: Fault) -> Iterator[TensorMeta]:
    for sample in loading.samples:
        value = sample.value.at(fault.path) if sample.value is not None else None
        if value is not None and value.meta is not None:
            yield value.meta


def _shown(fault: Fault, value: Value | None) -> str:
    """What differs of a value."""
    match fault.mismatch:
        case "shape" if value is not None and value.meta is not None:
            return str(list(value.meta.shape))
        case "device" if value is not None and value.meta is not None:
            return f"on {value.meta.device}"
        case "type" if value is not None:
            return value.kind
        case _:
            return str(value)


def _whole(fault: Fault, value: Value | None) -> str:
    if fault.mismatch == "keys":
        return f"a dict with the keys {', '.join(key[1:-1] for key, _ in value.parts)}" if value is not None else ""
    if fault.mismatch == "device" and value is not None:
        return str(value.meta)
    return str(value)


def _made(loading: Loading, fault: Fault | None) -> Iterator[Related]:
    if fault is not None and fault.first is not None:
        what = f"is {_shown(fault, fault.first.value)} in {fault.odd.name} from here on"
        yield Related(fault.first.site, f"`{short(fault.first.site.code)}` {what}")
    if loading.cut is not None:
        yield from made_at(loading.cut.lineage, most=3)
    elif fault is not None and fault.first is None:
        yield from made_at(fault.lineage)

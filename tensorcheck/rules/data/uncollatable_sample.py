"""TCK702."""

import re
from collections.abc import Iterator, Mapping

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.loading_words import circumstances, field_site, field_title, made_at, places
from tensorcheck.loading import Fault, Loading, Unfit
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, label_for

_SAID = re.compile(r"default_collate: batch must contain .*?; found (?:<(?:class|enum) '(\S+?)'>|(\S+))")


class UncollatableSample(Rule[Crashed]):
    """A sample holds something that no batch can be made of.

    ## What it does
    Explains the exception of a DataLoader whose samples hold None, a date, an image that was not converted, an array of
    objects or another value that `default_collate` takes no batch of: which field, of which samples, and where the
    dataset's own source makes it.

    ## Why it matters
    `batch must contain tensors, numpy arrays, numbers, dicts or lists; found <class 'NoneType'>` names neither the
    field nor the sample. Most often a look-up found nothing for a few samples of many.

    ## Example
    ```python
    class Ratings(torch.utils.data.Dataset):
        ages = {0: 31.0, 1: 54.0}

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"age": self.ages.get(index), "stars": 4.0}

    loader = torch.utils.data.DataLoader(Ratings(), batch_size=1)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```

    ## Use instead
    ```python
    class Ratings(torch.utils.data.Dataset):
        ages = {0: 31.0, 1: 54.0}

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"age": self.ages.get(index, 40.0), "stars": 4.0}

    loader = torch.utils.data.DataLoader(Ratings(), batch_size=1)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```
    """

    code = "TCK702"
    name = "uncollatable-sample"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the first value that does not fit, else for what the message found."""
        loading = event.loading
        if loading is None or loading.part != "collate" or loading.collate:
            return
        said = _SAID.search(event.message)
        if loading.fault is not None and loading.fault.mismatch is None:
            yield self._known(event, loading, loading.fault)
        elif loading.fault is None and said is not None:
            yield self._told(event, loading, said[1] or said[2])

    def _known(self, event: Crashed, loading: Loading, fault: Fault) -> Finding:
        field, sample = field_title(fault), fault.odd.name
        what = _what(fault)
        long = f"{field} of {sample} {what}" if field else f"{sample.capitalize()} {what}"
        headline = first_that_fits(long, f"{field or sample.capitalize()} {what}")
        site = field_site(fault) or loading.item_site or event.site
        other = f"    as {fault.other_value} of {fault.other.name}" if fault.other is not None else ""
        return self.finding(
            headline,
            label=label_for(headline, str(fault.odd_value), fault.odd_value.kind),
            expected=f"{_WANTED}{other}",
            got=f"{fault.odd_value} in {sample}",
            site=site,
            related=places(event, loading, site, *made_at(fault.lineage)),
            notes=(*_how_many(loading, fault), *circumstances(loading)),
            help=_help(fault, site),
        )

    def _told(self, event: Crashed, loading: Loading, kind: str) -> Finding:
        """What the message alone says."""
        site = loading.item_site or event.site
        headline = f"A sample of `{loading.dataset}` holds a value of type {kind}"
        return self.finding(
            headline,
            label=kind,
            expected=_WANTED,
            got=kind,
            site=site,
            related=places(event, loading, site),
            notes=circumstances(loading),
        )


_WANTED = "tensors, arrays, numbers, text, or dicts and lists of these"
_WHATS: Mapping[Unfit, str] = {
    Unfit.TYPE: "is {kind}, which no batch can hold",
    Unfit.SPARSE: "is a sparse tensor, which no batch can hold",
    Unfit.NESTED: "is a nested tensor, which no batch can hold",
    Unfit.DTYPE: "is an array of {dtype}, which is no dtype of a tensor",
    Unfit.STRIDES: "is a flipped view, with a negative stride",
    Unfit.OVERFLOW: "is an int beyond the range of int64",
    Unfit.GRAD: "requires a gradient, which no worker can send",
}


def _what(fault: Fault) -> str:
    value = fault.odd_value
    dtype = value.meta.dtype if value.meta is not None else ""
    return _WHATS[fault.odd_value.unfit or Unfit.TYPE].format(kind=value.kind, dtype=dtype)


def _how_many(loading: Loading, fault: Fault) -> tuple[str, ...]:
    """How many samples of the batch are so."""
    values = [sample.value.at(fault.path) if sample.value is not None else None for sample in loading.samples]
    odd = sum(value is not None and value.unfit == fault.odd_value.unfit for value in values)
    others = odd < len(values)
    return (
        (f"so {'is' if odd == 1 else 'are'} {odd} of the batch's {counted(len(values), 'sample')}",) if others else ()
    )


def _help(fault: Fault, site: Site | None) -> str:
    """What makes the value fit and stays what it was."""
    spelled = fault.lineage.ancestors[0].name if fault.lineage.ancestors else ""
    code = spelled or (site.code if site is not None and not fault.path else "")
    if not code or "\n" in code:
        return ""
    method = {Unfit.STRIDES: "copy", Unfit.GRAD: "detach"}.get(fault.odd_value.unfit or Unfit.TYPE)
    return f"{code}.{method}()" if method else ""

"""TCK703."""

from collections.abc import Callable, Iterator, Mapping

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.loading_words import circumstances, made_at, places, way_back
from tensorcheck.lineage import Step
from tensorcheck.loading import Failure, Loading, Part, Sample
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, label_for, short


class FailingSample(Rule[Crashed]):
    """The dataset, the sampler or a function of the loader's raised an exception for a batch.

    ## What it does
    Explains an exception that came out of a DataLoader: for which sample of the dataset, on which line of the dataset's
    own source, with which values, also where the exception was raised in a worker, and also where the dataset lacks a
    method, the sampler gives an index that the dataset has not, or a worker died.

    ## Why it matters
    A loader shuffles, so the traceback does not tell the sample, and an exception of a worker arrives as a text. A file
    that can't be read or a row with an empty field then takes long to find.

    ## Example
    ```python
    class Ratios(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2:
                raise RuntimeError("no such file")
            return torch.ones(3)

    loader = torch.utils.data.DataLoader(Ratios(), batch_size=2)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```

    ## Use instead
    ```python
    class Ratios(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return torch.ones(3)

    loader = torch.utils.data.DataLoader(Ratios(), batch_size=2)
    with tensorcheck.watch(loader) as watch:
        for batch in loader:
            pass
    ```

    ## Limits
    The exception of a worker is looked into by asking the dataset for the batch's samples once more, in this process
    and for at most about 0.3 seconds; of an iterable-style dataset, the worker's traceback is all that is told.
    """

    code = "TCK703"
    name = "failing-sample"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Tell what failed by the part of the loader that was at work."""
        loading = event.loading
        if loading is None:
            return
        headline = _headline(event, loading)
        if not headline:
            return
        failure = loading.failure
        of_length = loading.length_site if loading.part == "sampler" and loading.length is None else None
        site = (failure.site if failure is not None else None) or of_length or loading.built or event.site
        message = f"{failure.error}: {failure.message}" if failure is not None else f"{event.error}: {event.message}"
        yield self.finding(
            headline,
            label=label_for(headline, message, failure.error if failure is not None else event.error),
            expected=_expected(loading),
            got=_got(loading),
            site=site,
            related=places(event, loading, site, *_related(loading, failure)),
            notes=tuple(_notes(loading, message)),
        )


def _headline(event: Crashed, loading: Loading) -> str:
    """The fact, by what was at work; empty where another rule tells it."""
    if loading.part in ("sampler", "settings") and loading.lacks and "has no len()" in event.message:
        return f"`{loading.dataset}` has no `__len__`"
    tell = _TOLD.get(loading.part)
    return tell(event, loading) if tell is not None else ""


def _of_sample(_: Crashed, loading: Loading) -> str:
    failure, sample = loading.failure, loading.failing
    if loading.lacks:
        return f"`{loading.dataset}` has no `{loading.lacks[0]}`"
    if loading.keys:
        return f"A {loading.dataset} with the keys {short(', '.join(loading.keys))} has no {_name(sample)}"
    if sample is not None and _is_no_index(loading, sample):
        return f"The sampler gives {sample.index}, but `{loading.dataset}` has {loading.length} samples"
    return _of_failure(loading, failure) if failure is not None else ""


def _of_start(_: Crashed, loading: Loading) -> str:
    failure = loading.failure
    named = f"`{failure.function}` raised {failure.error}" if failure is not None else "Its first function raised"
    return f"{named} at the start of worker {loading.worker}"


def _of_collate(event: Crashed, loading: Loading) -> str:
    failure = loading.failure
    if failure is None or not loading.collate or "stack expects each tensor to be equal size" in event.message:
        return ""
    raised = f"`{loading.collate}` raised {failure.error}"
    return first_that_fits(f"{raised}: {failure.message}", raised)


def _of_worker(event: Crashed, loading: Loading) -> str:
    is_late = "timed out" in event.message
    return "" if is_late else f"A worker of the DataLoader died; num_workers is {loading.workers}"


def _of_sampler(event: Crashed, loading: Loading) -> str:
    if loading.length is None and loading.length_site is not None:
        return f"`__len__` of `{loading.dataset}` gives no length: {event.error}"
    return f"The sampler raised {event.error}"


_TOLD: Mapping[Part, Callable[[Crashed, Loading], str]] = {
    "sample": _of_sample,
    "start": _of_start,
    "collate": _of_collate,
    "worker": _of_worker,
    "sampler": _of_sampler,
}


def _name(sample: Sample | None) -> str:
    return sample.name if sample is not None else "such sample"


def _is_no_index(loading: Loading, sample: Sample) -> bool:
    """Whether the dataset has no sample of this index, so that the sampler is at fault."""
    is_beyond = isinstance(sample.index, int) and loading.length is not None and sample.index >= loading.length
    return is_beyond or "float" in str(sample.index)


def _of_failure(loading: Loading, failure: Failure) -> str:
    where = "" if loading.worker is None else f" in worker {loading.worker}"
    if loading.failing is not None:
        return first_that_fits(
            f"{_name(loading.failing).capitalize()} of `{loading.dataset}` raised {failure.error}{where}",
            f"{_name(loading.failing).capitalize()} raised {failure.error}{where}",
        )
    if loading.position is not None:
        return f"`{loading.dataset}` raised {failure.error} after {counted(loading.position, 'sample')}"
    return f"A sample of `{loading.dataset}` raised {failure.error}{where}"


def _expected(loading: Loading) -> str:
    if loading.failing is not None and _is_no_index(loading, loading.failing) and not loading.keys:
        return f"an index from 0 to {(loading.length or 1) - 1}"
    return ""


def _got(loading: Loading) -> str:
    if not _expected(loading) or loading.failing is None:
        return ""
    return f"{loading.failing.index}{f', from a {loading.sampler}' if loading.sampler else ''}"


def _notes(loading: Loading, message: str) -> Iterator[str]:
    if message:
        yield message
    named = loading.failure.named if loading.failure is not None else ()
    if named:
        yield ", ".join(str(each) for each in named)
    if loading.part == "worker":
        yield "with num_workers=0 the same happens in this process; a process that is out of memory is killed like that"
    yield from circumstances(loading)


def _related(loading: Loading, failure: Failure | None) -> Iterator[Related]:
    if loading.failing is not None and _is_no_index(loading, loading.failing):
        yield from _of_own_sampler(loading)
    if failure is not None and failure.error == "IndexError" and loading.length_site is not None:
        yield Related(loading.length_site, f"`__len__` says that there are {loading.length} samples")
    for named in failure.named if failure is not None else ():
        held = [each for each in way_back(named.lineage) if each.step is Step.ATTRIBUTE and each.site is not None]
        yield from (Related(each.site, f"`{short(each.name)}` is made here") for each in held[:1] if each.site)
    if failure is not None and failure.named:
        yield from made_at(failure.named[-1].lineage, most=2)


def _of_own_sampler(loading: Loading) -> Iterator[Related]:
    """Where the sampler was built, and what it was given."""
    lineage = loading.sampler_lineage
    built = lineage.ancestors[0] if lineage.ancestors else None
    if built is not None and built.site is not None:
        yield Related(built.site, "the sampler is built here")
        yield from made_at(lineage)

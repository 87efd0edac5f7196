"""TCK705."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.loading_words import made_at, places
from tensorcheck.loading import Loading
from tensorcheck.rule import Rule
from tensorcheck.wording import short

_POSITIVE = re.compile(r"(\w+) should be a (?:positive integer|non-negative integer|boolean) value, but got \w+=(\S+)")
_STREAM = re.compile(r"DataLoader with IterableDataset: expected unspecified (\w+) option, but got")
_EXCLUSIVE = re.compile(r"(\w+)(?:=None)? option (?:disables auto-batching and )?is mutually exclusive with (.+)")
_WORKERS = re.compile(r"(prefetch_factor|persistent_workers) option (?:could only|needs)")
_NEGATIVE = re.compile(r"(\w+) option should be non-negative")
_WEIGHTS = re.compile(r"weights should be a 1d sequence but given weights have shape \(([\d, ]*)\)")
_LATE = re.compile(r"DataLoader timed out after (\S+) seconds")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What is wrong with which setting."""

    setting: str
    headline: str
    expected: str
    got: str
    help: str = ""


class LoaderSettings(Rule[Crashed]):
    """A DataLoader or a sampler is built with settings that no batch can have, or that exclude each other.

    ## What it does
    Explains the exceptions of the constructors of DataLoader and of the samplers: which setting, what it was, and where
    its number came from; and the exception of a loader whose workers took longer than its `timeout`.

    ## Why it matters
    `num_samples should be a positive integer value, but got num_samples=0` is what PyTorch says of a folder without
    files; the number that is wrong was most often computed some lines before.

    ## Example
    ```python
    files = [f"{number}.png" for number in range(3)]
    loader = torch.utils.data.DataLoader([0, 1], batch_size=2)
    with tensorcheck.watch(loader) as watch:
        torch.utils.data.DataLoader(files, batch_size=len(files) // 4)
    ```

    ## Use instead
    ```python
    files = [f"{number}.png" for number in range(8)]
    loader = torch.utils.data.DataLoader([0, 1], batch_size=2)
    with tensorcheck.watch(loader) as watch:
        torch.utils.data.DataLoader(files, batch_size=len(files) // 4)
    ```
    """

    code = "TCK705"
    name = "loader-settings"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Tell the setting by what the constructor refused."""
        loading = event.loading
        refusal = _refusal(event, loading) if loading is not None and loading.part in ("settings", "worker") else None
        if refusal is None or loading is None:
            return
        setting = event.call.setting(refusal.setting) if event.call is not None else None
        related = made_at(setting.lineage) if setting is not None else ()
        site = (setting.site if setting is not None else None) or event.site
        yield self.finding(
            refusal.headline,
            label=refusal.got if len(refusal.got) < len(refusal.headline) else "",
            expected=refusal.expected,
            got=refusal.got,
            site=site,
            related=places(event, loading, site, *related),
            help=refusal.help,
        )


def _refusal(event: Crashed, loading: Loading) -> _Refusal | None:
    for pattern, tell in _TOLD:
        said = pattern.search(event.message)
        if said is not None:
            return tell(said, event, loading)
    return None


def _positive(said: "re.Match[str]", event: Crashed, loading: Loading) -> _Refusal:
    name, value = said[1], said[2]
    if name == "num_samples" and loading.length == 0:
        given = event.call.settings[0].site if event.call is not None and event.call.settings else None
        dataset = short(given.code) if given is not None else loading.dataset
        headline = f"`{dataset}` has 0 samples, which `shuffle` can't put in an order"
        return _Refusal("0", headline, "1 sample or more", f"0 samples in {dataset}")
    if name == "batch_size":
        return _Refusal(name, f"`batch_size` is {value}, but a batch has 1 sample or more", "1 or more", value)
    return _Refusal(name, f"`{name}` is {value}, which no sampler takes", "a positive integer", value)


def _stream(said: "re.Match[str]", event: Crashed, loading: Loading) -> _Refusal:
    name = said[1]
    code = event.site.code if event.site is not None else ""
    without, times = re.subn(rf",\s*{name}=[^,()]+", "", code)
    headline = f"`{loading.dataset}` is an IterableDataset, but `{name}` is given"
    return _Refusal(
        name,
        headline,
        f"no {name}: a stream has its own order",
        _written(event.call, name),
        without if times == 1 else "",
    )


def _exclusive(said: "re.Match[str]", event: Crashed, _: Loading) -> _Refusal:
    others = [name for name in re.findall(r"\w+", said[2]) if name != "and"]
    setting = next((name for name in others if event.call is not None and event.call.setting(name)), others[0])
    headline = f"`{said[1]}` and `{setting}` are both given, but exclude each other"
    return _Refusal(setting, headline, f"{said[1]} without {', '.join(others)}", _written(event.call, setting))


def _workers(said: "re.Match[str]", event: Crashed, _: Loading) -> _Refusal:
    return _Refusal(
        said[1], f"`{said[1]}` is given, but `num_workers` is 0", "num_workers > 0", _written(event.call, said[1])
    )


def _negative(said: "re.Match[str]", event: Crashed, _: Loading) -> _Refusal:
    got = _written(event.call, said[1])
    return _Refusal(said[1], f"`{said[1]}` is below 0: {got}", "0 or more", got)


def _weights(said: "re.Match[str]", event: Crashed, _: Loading) -> _Refusal:
    given = event.call.first if event.call is not None else None
    name = given.spelled if given is not None else "weights"
    shape = f"[{said[1].rstrip(',')}]"
    is_column = re.fullmatch(r"\[\d+, 1\]", shape) is not None
    headline = f"`WeightedRandomSampler` got weights of shape {shape}, not of one dim"
    return _Refusal(
        "weights", headline, "one weight a sample, as [samples]", shape, f"{name}.squeeze(1)" if is_column else ""
    )


def _late(said: "re.Match[str]", _: Crashed, loading: Loading) -> _Refusal:
    headline = f"A batch of `{loading.dataset}` took longer than `timeout`, {said[1]} seconds"
    return _Refusal(
        "timeout", headline, f"a batch within {said[1]} seconds", f"none, with num_workers={loading.workers}"
    )


_TOLD = (
    (_POSITIVE, _positive),
    (_STREAM, _stream),
    (_EXCLUSIVE, _exclusive),
    (_WORKERS, _workers),
    (_NEGATIVE, _negative),
    (_WEIGHTS, _weights),
    (_LATE, _late),
)


def _written(call: FailedCall | None, name: str) -> str:
    """A setting as the user's line has it."""
    setting = call.setting(name) if call is not None else None
    return f"{name}={setting.value}" if setting is not None else name

"""TCK210."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.lineage import Step
from tensorcheck.lineage_wording import made
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import expectation, first_that_fits, how_it_got_here, label_for, labels_of, title, titled

_TOO_FEW = re.compile(r"Expected more than 1 (value per channel|spatial element) when training")


class SingleValuePerChannel(Rule[Crashed]):
    """A normalisation in training has one value to normalise.

    ## What it does
    Explains the exception that a batch, instance or group normalisation raises when a channel has a single value: which
    layer, what it was given, and where the batch of one sample or the single pixel came from.

    ## Why it matters
    A single value has no spread to divide by. It mostly comes from the last batch of an epoch, when the size of the
    dataset is one more than a multiple of the batch size: training fails after an epoch that looked well, and only for
    some splits of the data. `drop_last=True` leaves such a batch out.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(1, 4))
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4))
    ```
    """

    code = "TCK210"
    name = "single-value-per-channel"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look at what the normalisation was given."""
        call = event.call
        told = _TOO_FEW.search(event.message)
        given = call.first if call is not None else None
        if call is None or given is None or told is None:
            return
        layer = call.module
        names = (titled(layer), title(layer)) if layer is not None else (f"`{call.function}`",)
        unit = "value per group" if call.function in ("GroupNorm", "group_norm") else told[1]
        headlines = [
            f"{name} got 1 {unit} but needs {least}" for name in names for least in ("at least 2 to train", "2")
        ]
        headline = first_that_fits(*headlines)
        wanted = _wanted(given.meta)
        yield self.finding(
            headline,
            label=label_for(headline, *labels_of(given)),
            expected=expectation(wanted, layer) if layer is not None else wanted,
            got=given.meta.notation,
            site=given.site or event.site,
            module=layer.path if layer is not None else None,
            related=tuple(_places(given)) or made(given, _is_alone, "a batch of one sample"),
            notes=(_note(given.meta, layer),),
            path=how_it_got_here(event.calls),
            help=_without_last(given),
        )


def _is_alone(meta: TensorMeta) -> bool:
    return meta.shape[:1] == (1,)


def _places(given: Operand) -> Iterator[Related]:
    """Where the batch of one sample was loaded, and by which DataLoader; what came before were samples, no batches."""
    loaded = next((each for each in given.lineage.ancestors if each.step is Step.LOADED), None)
    loader = _loader(given)
    if _is_alone(given.meta) and loaded is not None and loaded.site is not None:
        yield Related(loaded.site, f"`{loaded.name}` comes out of the DataLoader here")
        if loader is not None:
            yield Related(loader, "this DataLoader keeps a last batch of one sample")


def _loader(given: Operand) -> Site | None:
    places = (place.site for place in given.lineage.built() if place.site is not None)
    return next((site for site in places if "DataLoader(" in site.code), None)


def _wanted(given: TensorMeta) -> str:
    """The input with more values in its first dim, or else in those behind the channels."""
    batch, *rest = given.shape
    sizes = ["batch > 1", *rest] if batch == 1 else [batch, *rest[:1], *("size > 1" for _ in rest[1:])]
    return f"{given.dtype}[{', '.join(map(str, sizes))}]"


def _note(given: TensorMeta, layer: ModuleMeta | None) -> str:
    if not _is_alone(given):
        return "likely: pooling or striding left a single pixel"
    kind = layer.kind if layer is not None else "it"
    return f"likely: the last batch of an epoch holds one sample; in `eval()` {kind} takes it"


def _without_last(given: Operand) -> str:
    """The line that builds the DataLoader that one sample came out of, without the last batch."""
    loader = _loader(given)
    code = loader.code if loader is not None else ""
    is_last = _is_alone(given.meta) and code.endswith(")") and not re.search(r"drop_last|batch_size=1\b", code)
    return f"{code.removesuffix(')')}, drop_last=True)" if is_last else ""

"""TCK203."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.ranks import Misrank, misrank_of
from tensorcheck.knowledge.reshaping import came
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for


class LayerInputRank(Rule[Crashed]):
    """A layer is given another number, or another order, of dims than it takes.

    ## What it does
    Explains the exception that a layer raises when its input has too few dims or too many, has its channels or its
    batch in another place, or does not go with the hidden state or the keys beside it: which layer, which expression,
    and what each dim should be.

    ## Why it matters
    Images from NumPy, OpenCV and PIL have their channels last and PyTorch's have them first; one sample has no batch
    dim; recurrent layers and attention take the sequence for the first dim unless they are told `batch_first=True`.
    The message counts dims or channels, and names neither the layer nor the dim that is in the wrong place.

    ## Example
    ```python
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    images = torch.zeros(8, 24, 32, 3)
    with tensorcheck.watch(model) as watch:
        model(images)
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    images = torch.zeros(8, 24, 32, 3)
    with tensorcheck.watch(model) as watch:
        model(images.permute(0, 3, 1, 2))
    ```

    ## Limits
    A number of features that stands in another dim by accident can't be told from a wrong order of dims; where two
    dims have it, or where a convolution made the tensor, it is taken to be an accident.
    """

    code = "TCK203"
    name = "layer-input-rank"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the dims of what came in with those that the layer takes."""
        misrank = misrank_of(event.call, event.message, event.site) if event.call is not None else None
        if event.call is not None and misrank is not None:
            yield self._found(event, event.call, misrank)

    def _found(self, event: Crashed, call: FailedCall, misrank: Misrank) -> Finding:
        headline = first_that_fits(*misrank.headlines)
        given, beside = misrank.operand, misrank.beside
        metas = [operand.meta for operand in (given, beside) if operand is not None]
        places = [place for operand in (given, beside) if operand is not None for place in came(operand)]
        return self.finding(
            headline,
            label=label_for(headline, " and ".join(map(str, metas)), " and ".join(meta.notation for meta in metas)),
            expected=misrank.wanted,
            got=" and ".join(meta.notation for meta in metas),
            site=given.site if given is not None and given.site is not None else event.site,
            module=call.module.path if call.module is not None else event.modules[-1].path if event.modules else None,
            related=tuple(dict.fromkeys(places)),
            notes=(misrank.note,) if misrank.note else (),
            path=how_it_got_here(event.calls),
            help=misrank.help,
            fixes=misrank.fixes,
        )

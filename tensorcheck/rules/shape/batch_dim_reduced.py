"""TCK214."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.backward import LossComputed
from tensorcheck.events.experiment import Culprit, SamplesMixed
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.mixing import Batches, Meeting, meeting_of
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, short


class BatchDimReduced(Rule[SamplesMixed | BatchLoaded | LossComputed]):
    """A softmax, a norm or a mean within the model is taken over the samples of a batch.

    ## What it does
    After the first step it calls a copy of the model, in evaluation mode and with at most four samples of the batch,
    and again with one of them replaced. Where the answers for the others change because of an operation that reduces
    or normalises over a dim, and that dim is the batch, it says so.

    ## Why it matters
    The scores of a sample become larger because those of the others are small. Nothing raises and the loss may fall,
    but in use, where the other samples are others or none, the answers are wrong: of a batch of one, a softmax over
    the batch is 1 whatever the input.

    ## Example
    ```python
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Linear(8, 8)
            self.head = nn.Linear(8, 4)

        def forward(self, features):
            return self.head(features * self.score(features).softmax(0))

    model = Gate()
    with tensorcheck.watch(model) as watch:
        scores = model(torch.rand(32, 8))
        nn.functional.cross_entropy(scores, torch.randint(4, (32,))).backward()
    ```

    ## Use instead
    ```python
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Linear(8, 8)
            self.head = nn.Linear(8, 4)

        def forward(self, features):
            return self.head(features * self.score(features).softmax(1))

    model = Gate()
    with tensorcheck.watch(model) as watch:
        scores = model(torch.rand(32, 8))
        nn.functional.cross_entropy(scores, torch.randint(4, (32,))).backward()
    ```

    ## Limits
    A mean, a sum or a spread over the batch may be meant, as in the critics of some generative networks, so that is
    worth knowing and no more; so is a softmax where neither a DataLoader nor targets say which dim is the batch.
    Reductions outside of the model are not looked at: losses over all pairs of a batch take them on purpose.
    `experiments=False` turns it off.
    """

    code = "TCK214"
    name = "batch-dim-reduced"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._batches = Batches()

    def check(self, event: SamplesMixed | BatchLoaded | LossComputed) -> Iterator[Finding]:
        """Learn which dim is the batch; of samples that met in a reduction, say where."""
        if not isinstance(event, SamplesMixed):
            self._batches.saw(event)
        elif event.culprit is not None:
            yield from self._of(event, event.culprit)

    def _of(self, event: SamplesMixed, culprit: Culprit) -> Iterator[Finding]:
        meeting = meeting_of(culprit)
        if meeting not in (Meeting.NORMALISING, Meeting.STATISTICS):
            return
        is_sure = meeting is Meeting.NORMALISING and self._batches.is_sure(event, meeting)
        made = _made(culprit)
        name = culprit.function
        finding = self.finding(
            f"`{short(made.code if made is not None else name)}` takes the {name} over a batch",
            label=f"{culprit.input.notation}, where dim {culprit.dim} is the batch" if culprit.dim is not None else "",
            expected=f"a {name} for each sample",
            got=f"{len(event.changed)} of {event.asked - 1} others changed when one was replaced",
            site=made,
            module=culprit.module.path or None,
            related=each_line_once(_places(event, culprit), made),
            notes=(_HOW,) if is_sure else (_HOW, _UNSURE),
            help=_help(culprit, made) if is_sure else "",
        )
        yield finding if is_sure else replace(finding, severity=Severity.INFO)


_HOW = "a copy in evaluation mode was asked twice, with one sample of a few replaced"
_UNSURE = "it may be meant: statistics of a batch, or rows that are no samples"
_LAYERS = frozenset({"Softmax", "LogSoftmax", "Softmin"})


def _made(culprit: Culprit) -> Site | None:
    """Where the dim was chosen: where a softmax layer was built, else where the function is called."""
    return culprit.definition if culprit.module.kind in _LAYERS and culprit.definition is not None else culprit.site


def _places(event: SamplesMixed, culprit: Culprit) -> list[Related]:
    places = [(culprit.site, "the samples meet here"), (event.site, "the model is called here")]
    return [Related(site, note) for site, note in places if site is not None]


def _help(culprit: Culprit, made: Site | None) -> str:
    """The same with the last dim, where the first is spelled."""
    if made is None or culprit.dim != 0:
        return ""
    changed, times = re.subn(r"\bdim=0\b", "dim=-1", made.code)
    if times == 1:
        return changed
    changed, times = re.subn(rf"\b({culprit.function}\((?:[^()]*, )?)0\)", r"\g<1>-1)", made.code)
    return changed if times == 1 else ""

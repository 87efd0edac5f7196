"""TCK215."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.backward import LossComputed
from tensorcheck.events.experiment import Culprit, SamplesMixed
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.mixing import Batches, Meeting, meeting_of
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits, short, titled


class SamplesAreMixed(Rule[SamplesMixed | BatchLoaded | LossComputed]):
    """The answer for one sample depends on which other samples are in its batch.

    ## What it does
    After the first step it calls a copy of the model, in evaluation mode and with at most four samples of the batch,
    and again with the first or the last of them replaced. Where the answers for the others change, it follows both
    calls to the operation in which samples meet: a recurrent or attention layer that takes the batch for time, a
    `view` where a `permute` was needed.

    ## Why it matters
    Nothing raises and the loss falls, for the labels of a batch can be learned from its other samples. In use, where
    they are others or none, the answers are wrong.

    ## Example
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(8, 16)
            self.head = nn.Linear(16, 4)

        def forward(self, steps):
            states, _ = self.rnn(steps)
            return self.head(states[:, -1])

    model = Tagger()
    with tensorcheck.watch(model) as watch:
        scores = model(torch.rand(32, 10, 8))
        nn.functional.cross_entropy(scores, torch.randint(4, (32,))).backward()
    ```

    ## Use instead
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(8, 16, batch_first=True)
            self.head = nn.Linear(16, 4)

        def forward(self, steps):
            states, _ = self.rnn(steps)
            return self.head(states[:, -1])

    model = Tagger()
    with tensorcheck.watch(model) as watch:
        scores = model(torch.rand(32, 10, 8))
        nn.functional.cross_entropy(scores, torch.randint(4, (32,))).backward()
    ```

    ## Limits
    Asked is a model whose every input and answer has the samples along the first dim. Samples that meet by an index or
    in the statistics of a batch normalisation are taken to meet on purpose. Where neither a DataLoader nor targets say
    which dim is the batch, a layer that runs along it is silent. Samples that meet in a product of matrices, as in
    attention between samples, are worth knowing and no more. `experiments=False` turns it off.
    """

    code = "TCK215"
    name = "samples-mixed"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._batches = Batches()

    def check(self, event: SamplesMixed | BatchLoaded | LossComputed) -> Iterator[Finding]:
        """Learn which dim is the batch; of samples that met, say where."""
        if not isinstance(event, SamplesMixed):
            self._batches.saw(event)
        elif event.culprit is None:
            yield replace(self._unplaced(event), severity=Severity.INFO)
        else:
            yield from self._placed(event, event.culprit)

    def _unplaced(self, event: SamplesMixed) -> Finding:
        return self.finding(
            f"`{short(event.model.kind)}` answers otherwise for {_of(event)} when one is replaced",
            site=event.site,
            notes=(_HOW, "where the samples meet could not be told"),
        )

    def _placed(self, event: SamplesMixed, culprit: Culprit) -> Iterator[Finding]:
        meeting = meeting_of(culprit)
        if meeting not in _OURS:
            return
        is_sure = meeting is not Meeting.OTHER and self._batches.is_sure(event, meeting)
        by_layer = meeting in (Meeting.RECURRENT, Meeting.ATTENTION)
        if not is_sure and (by_layer or all(len(meta.shape) == 1 for meta in event.inputs)):
            return  # what they run along may be time: of a sentence, whose words are no samples
        made = culprit.definition if by_layer and culprit.definition is not None else culprit.site
        finding = self.finding(
            _headline(culprit, meeting),
            label=f"{culprit.input.notation}, where dim {culprit.dim} is the batch" if culprit.dim is not None else "",
            expected="an answer for each sample that depends on that sample alone",
            got=f"{_of(event)} changed when one was replaced",
            site=made,
            module=culprit.module.path or None,
            related=each_line_once(_places(event, culprit), made),
            notes=(_HOW,) if is_sure else (_HOW, _UNSURE),
            help=_help(culprit, meeting) if is_sure else "",
        )
        yield finding if is_sure else replace(finding, severity=Severity.INFO)


_OURS = frozenset({Meeting.RECURRENT, Meeting.ATTENTION, Meeting.RESHAPE, Meeting.OTHER})
_HOW = "a copy in evaluation mode was asked twice, with one sample of a few replaced"
_UNSURE = "it may be meant; a DataLoader that hands out the batch would show which dim is that of the samples"


def _of(event: SamplesMixed) -> str:
    return f"{len(event.changed)} of {event.asked - 1} others"


def _headline(culprit: Culprit, meeting: Meeting) -> str:
    code = short(culprit.site.code) if culprit.site is not None else culprit.function
    if meeting is Meeting.RECURRENT:
        return f"{titled(culprit.module)} runs over the samples of a batch, not over their time"
    if meeting is Meeting.ATTENTION:
        return first_that_fits(
            f"{titled(culprit.module)} attends to the other samples of a batch",
            "attention is paid to the other samples of a batch",
        )
    if meeting is Meeting.RESHAPE:
        return f"`{code}` fills the row of a sample with others"
    return f"in `{code}` the samples of a batch meet"


def _places(event: SamplesMixed, culprit: Culprit) -> list[Related]:
    places = [(culprit.site, "the samples meet here"), (event.site, "the model is called here")]
    return [Related(site, note) for site, note in places if site is not None]


def _help(culprit: Culprit, meeting: Meeting) -> str:
    if meeting is Meeting.RESHAPE:
        return _transposed(culprit.site, culprit.dim)
    if culprit.definition is None:
        return ""
    return _with_batch_first(culprit.definition.code, is_first=culprit.dim == 0)


def _with_batch_first(code: str, *, is_first: bool) -> str:
    """The layer's constructor with the other `batch_first`."""
    for old in ("True", "False"):
        if f"batch_first={old}" in code:
            return code.replace(f"batch_first={old}", f"batch_first={is_first}")
    is_call = code.endswith(")") and code.count("(") == code.count(")") == 1
    return f"{code[:-1]}, batch_first=True)" if is_first and is_call else ""


def _transposed(site: Site | None, dim: int | None) -> str:
    """The reshape, after the batch was brought to the front."""
    if site is None or not dim:
        return ""
    try:
        node = ast.parse(site.code, mode="eval").body
    except SyntaxError:
        return ""
    match node:
        case ast.Call(ast.Attribute(value, "view" | "reshape"), args, []):
            sizes = ", ".join(map(ast.unparse, args))
            return f"{ast.unparse(value)}.transpose(0, {dim}).reshape({sizes})"
        case ast.Call(ast.Attribute(value, "flatten"), args, keywords):
            given = ", ".join(map(ast.unparse, [*args, *keywords]))
            return f"{ast.unparse(value)}.transpose(0, {dim}).flatten({given})"
    return ""

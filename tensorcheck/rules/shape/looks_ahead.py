"""TCK216."""

from collections.abc import Iterator

from tensorcheck.events.experiment import Culprit, LookedAhead
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits, short, titled


class LooksAhead(Rule[LookedAhead]):
    """A model that predicts the next token is shown that token.

    ## What it does
    Of a model whose targets are its own input, one token further, it calls a copy in evaluation mode after the first
    step, and again with other tokens in the second half. Where the answers in the first half change, it follows both
    calls to the operation through which later tokens are seen: attention without a causal mask, a recurrent layer that
    runs both ways, heads that were merged in the wrong order.

    ## Why it matters
    The loss falls fast and low, for the model copies what it is to predict. When it writes text of its own, the next
    token is not there yet, and what it writes is nonsense.

    ## Example
    ```python
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.rnn = nn.GRU(16, 8, batch_first=True, bidirectional=True)
            self.head = nn.Linear(16, 20)

        def forward(self, tokens):
            states, _ = self.rnn(self.embed(tokens))
            return self.head(states)

    model, text = Language(), torch.randint(20, (32, 13))
    with tensorcheck.watch(model) as watch:
        logits = model(text[:, :-1])
        nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).backward()
    ```

    ## Use instead
    ```python
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.rnn = nn.GRU(16, 16, batch_first=True)
            self.head = nn.Linear(16, 20)

        def forward(self, tokens):
            states, _ = self.rnn(self.embed(tokens))
            return self.head(states)

    model, text = Language(), torch.randint(20, (32, 13))
    with tensorcheck.watch(model) as watch:
        logits = model(text[:, :-1])
        nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).backward()
    ```

    ## Limits
    Asked is a model that is given tokens as `[batch, time]` and answers with `[batch, time, vocabulary]`, and whose
    first loss is `cross_entropy` or `nll_loss`. `experiments=False` turns it off.
    """

    code = "TCK216"
    name = "looks-ahead"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LookedAhead) -> Iterator[Finding]:
        """A model that looked ahead; say through what."""
        culprit = event.culprit
        made = _made(culprit) or event.site
        yield self.finding(
            _headline(event, culprit),
            label="tokens see those after them here" if made is not None and culprit is not None else "",
            expected="an answer for each token that depends on it and those before it",
            got=f"{len(event.changed)} of the first {event.since} answers changed with the tokens after them",
            site=made,
            module=culprit.module.path or None if culprit is not None else None,
            related=each_line_once(_places(event, culprit), made),
            notes=("a copy in evaluation mode was asked twice, with other tokens in the second half",),
            help=_help(culprit),
        )


_SOFTMAX = "softmax"
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_FUSED = "scaled_dot_product_attention"


def _made(culprit: Culprit | None) -> Site | None:
    """The mask where there is one, the recurrent layer's own line, else the operation itself."""
    if culprit is None:
        return None
    if culprit.function == _SOFTMAX and culprit.mask is not None:
        return culprit.mask
    return culprit.definition or culprit.site if culprit.function in _RECURRENT else culprit.site


def _headline(event: LookedAhead, culprit: Culprit | None) -> str:
    if culprit is None:
        return f"`{short(event.model.kind)}` sees the tokens that it is to predict"
    if culprit.function in _RECURRENT and culprit.module.path:
        return f"{titled(culprit.module)} runs both ways and so sees the tokens to be predicted"
    made = _made(culprit)
    if culprit.function == _SOFTMAX and culprit.mask is not None and made is not None:
        return first_that_fits(
            f"`{short(made.code)}` leaves the tokens to be predicted in sight",
            "the mask leaves the tokens to be predicted in sight",
        )
    if made is None and culprit.module.path:
        return f"{titled(culprit.module)} shows the tokens to be predicted"
    return f"`{short(made.code) if made is not None else culprit.function}` shows the tokens to be predicted"


def _places(event: LookedAhead, culprit: Culprit | None) -> list[Related]:
    site = culprit.site if culprit is not None else None
    places = [(site, "later tokens come in here"), (event.site, "the model is called here")]
    return [Related(place, note) for place, note in places if place is not None]


def _help(culprit: Culprit | None) -> str:
    if culprit is None or culprit.site is None:
        return ""
    code = culprit.site.code
    if culprit.function == _FUSED and "is_causal" not in code and "attn_mask" not in code and code.endswith(")"):
        return f"{code[:-1]}, is_causal=True)"
    definition = culprit.definition.code if culprit.definition is not None else ""
    if culprit.function in _RECURRENT and "bidirectional=True" in definition:
        return definition.replace("bidirectional=True", "bidirectional=False")
    return ""

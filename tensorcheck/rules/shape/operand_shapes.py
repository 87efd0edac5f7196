"""TCK204."""

from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.clashes import Clash, clash_of
from tensorcheck.knowledge.companions import misfit_inputs_of
from tensorcheck.knowledge.equations import equation_clash_of
from tensorcheck.knowledge.index_operands import has_byte_indices
from tensorcheck.knowledge.misfits import misfit_of
from tensorcheck.knowledge.ranks import misrank_of
from tensorcheck.knowledge.reshaping import came
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.wording import how_it_got_here, label_for


class OperandShapes(Rule[Crashed]):
    """The operands of one operation have shapes that don't fit.

    ## What it does
    Explains the exception of an operation whose operands don't go together: sums and masks that don't broadcast,
    matrices that can't be multiplied, an `einsum` whose letters disagree, indices and what they choose, hidden states
    and keys of another batch. It says which operands they are, what their shapes are, and where each came from.

    ## Why it matters
    `The size of tensor a (8) must match the size of tensor b (4) at non-singleton dimension 1` leaves open which of a
    line's tensors are `a` and `b`, and the one that is wrong was mostly made somewhere else.

    ## Example
    ```python
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 8)

        def forward(self, x):
            return self.fc(x) + x

    model = Block()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4))
    ```

    ## Use instead
    ```python
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(x) + x

    model = Block()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(2, 4))
    ```
    """

    code = "TCK204"
    name = "operand-shapes"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the shapes of what met."""
        call = event.call
        if call is None or event.loading is not None or has_byte_indices(call):
            return
        clash = clash_of(call, event.message) or equation_clash_of(call, event.message)
        if clash is None and misfit_of(call) is None and misrank_of(call, event.message) is None:
            clash = misfit_inputs_of(call)
        if clash is not None:
            yield self._found(event, clash, is_layer=call.kind == "layer")

    def _found(self, event: Crashed, clash: Clash, *, is_layer: bool) -> Finding:
        metas = [operand.meta for operand in clash.operands]
        both = " and ".join(meta.notation for meta in metas)
        running = event.modules[-1] if event.modules else None
        return self.finding(
            clash.headline,
            label=label_for(clash.headline, both, " and ".join(str(list(meta.shape)) for meta in metas)),
            expected=clash.wanted,
            got=both,
            site=clash.site or event.site,
            module=running.path if running is not None else None,
            related=tuple(dict.fromkeys(_places(clash))),
            notes=tuple(_notes(clash, running, is_layer=is_layer)),
            path=how_it_got_here(event.calls),
            help=clash.help,
            fixes=clash.fixes,
        )


def _places(clash: Clash) -> Iterator[Related]:
    """Where the operands came from, the guilty one's places first; where a setting is guilty, its own place alone."""
    if clash.built is not None:
        yield Related(clash.built, "the layer is built here")
        return
    for operand in clash.operands:
        yield from came(operand)


def _notes(clash: Clash, running: ModuleMeta | None, *, is_layer: bool) -> Iterator[str]:
    if running is not None and running.path and not is_layer:
        yield f"in {running}"
    if clash.note:
        yield clash.note

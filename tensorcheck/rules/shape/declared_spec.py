"""TCK223."""

from collections.abc import Iterator

from tensorcheck.events.declared import SpecBroken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class DeclaredSpec(Rule[SpecBroken]):
    """A tensor is not what `watch(specs=...)` declares.

    ## What it does
    Holds the fields of each batch of a DataLoader, and what the named modules are given and return, to the specs that
    `tensorcheck.watch(model, specs=...)` was given, in every step. A name is one size within a step.

    ## Why it matters
    What is declared is what the rest of the program counts on. A batch that breaks it in the ten-thousandth step is
    found there, and not where a loss goes wrong by it.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    rows = torch.utils.data.TensorDataset(torch.rand(8, 4), torch.zeros(8, 1))
    with tensorcheck.watch(model, specs={"batch.0": "batch 4", "batch.1": "batch"}) as watch:
        for inputs, labels in torch.utils.data.DataLoader(rows, batch_size=8):
            model(inputs)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    rows = torch.utils.data.TensorDataset(torch.rand(8, 4), torch.zeros(8))
    with tensorcheck.watch(model, specs={"batch.0": "batch 4", "batch.1": "batch"}) as watch:
        for inputs, labels in torch.utils.data.DataLoader(rows, batch_size=8):
            model(inputs)
    ```
    """

    code = "TCK223"
    name = "declared-spec"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: SpecBroken) -> Iterator[Finding]:
        """Say what came, what was declared, and of a batch its samples."""
        what = event.name if event.role == "batch" else f"the {event.role} of {_shown(event.module)}"
        got = event.got.notation if event.got is not None else "missing"
        name = f"`{what}`" if event.role == "batch" else what
        yield self.finding(
            first_that_fits(
                f"{name} is {got} and was declared {event.expected}",
                f"{name} is not what was declared",
                "a tensor is not what was declared",
            ),
            label=str(event.got) if event.got is not None else "is not there",
            expected=event.expected,
            got=str(event.got) if event.got is not None else "nothing",
            notes=(*event.reasons, *_of_batch(event)),
            site=event.site,
            module=event.module,
            related=(Related(event.declared, "it is declared here"),) if event.declared is not None else (),
        )


_MOST = 8


def _shown(module: str | None) -> str:
    return f"`{module}`" if module else "the model"


def _of_batch(event: SpecBroken) -> Iterator[str]:
    if event.batch is None:
        return
    samples = ", ".join(map(str, event.samples[:_MOST]))
    more = ", ..." if len(event.samples) > _MOST else ""
    yield f"it is batch {event.batch} of its pass{f', with the samples {samples}{more}' if samples else ''}"

"""TCK117."""

from collections.abc import Iterator

from tensorcheck.events.numbers import IndicesRounded
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.number_words import written
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits, short


class FloatIndices(Rule[IndicesRounded]):
    """Indices or class numbers pass through a dtype that does not hold each whole number as large as they are.

    ## What it does
    Looks at what becomes integers again in the first steps: whole numbers of `bfloat16`, `float16` or `float32` that
    are larger than these hold exactly (256, 2048 and 16777216), and that were integers before, or came in a batch.

    ## Why it matters
    Nothing raises. Beyond that limit several numbers become one, so that word 2049 is read as word 2048, and one user
    gets another's row of an embedding.

    ## Example
    ```python
    model = nn.Sequential(nn.Embedding(5000, 4), nn.Flatten(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    words = torch.arange(4000, 4016)
    with tensorcheck.watch(model) as watch:
        row = words.to(torch.float16)
        model(row.long()).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Embedding(5000, 4), nn.Flatten(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    words = torch.arange(4000, 4016)
    with tensorcheck.watch(model) as watch:
        model(words).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Numbers that were computed are silent, as the number of a bin or a seed, and so are fewer than four different ones.
    """

    code = "TCK117"
    name = "float-indices"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: IndicesRounded) -> Iterator[Finding]:
        """Report it where the integers became real numbers, if that was seen."""
        site = event.made or event.site
        code = short(site.code)
        again = Related(event.site, "they become integers again here")
        yield self.finding(
            first_that_fits(
                f"`{code}` holds whole numbers up to {event.exact}, and these go to {written(event.highest)}",
                f"{event.dtype} holds whole numbers up to {event.exact}, these go to {written(event.highest)}",
            ),
            label=f"rounded in {event.dtype}" if event.made else f"were rounded in {event.dtype}",
            expected="indices as integers, all the way",
            got=f"{event.dtype}    {event.beyond} of {event.count} are beyond what it tells apart",
            site=site,
            related=each_line_once((again,), site),
            help="cast what is real alone: x.to(dtype) if x.is_floating_point() else x",
        )

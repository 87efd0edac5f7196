"""TCK115."""

from collections.abc import Iterator

from tensorcheck.events.numeric import HalfAccumulated
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class AccumulatedInHalf(Rule[HalfAccumulated]):
    """A running total or an average of weights is kept in half precision, which drops what is small beside it.

    ## What it does
    Finds, in the second and third step, a tensor of `float16` or `bfloat16` to which the same line adds in each step: a
    total of losses, a metric, a moving average of weights.

    ## Why it matters
    A total in `bfloat16` stands still once it is 256 times what is added, and one in `float16` at 2048 times: the mean
    loss of an epoch comes out too small, by more the longer the epoch. An average of weights with a decay of 0.999
    moves by a thousandth, which is less than half precision can hold.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = torch.zeros((), dtype=torch.bfloat16)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            total += loss.detach().bfloat16()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = torch.zeros(())
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            total += loss.detach().float()
    ```

    ## Limits
    What is added up within a step, or within a module, is silent, and so is the average of a single number.
    """

    code = "TCK115"
    name = "accumulated-in-half"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: HalfAccumulated) -> Iterator[Finding]:
        """Report the line that adds."""
        code = short(event.site.code)
        what = "an average" if event.is_average else "a total"
        yield self.finding(
            first_that_fits(
                f"`{code}` keeps {what} in {event.dtype}", f"{what} is kept in {event.dtype} from step to step"
            ),
            label=f"{event.dtype}{list(event.shape)}, step after step",
            expected=f"{what} in float32",
            got=f"{event.dtype}    what is less than {_PARTS[event.dtype]} of it is dropped",
            site=event.site,
            help="make what is added to with dtype=torch.float32"
            if event.is_average
            else "add `.float()` values to a tensor of float32, or `.item()` to a Python number",
        )


_PARTS = {"bfloat16": "a 256th", "float16": "a 2048th"}

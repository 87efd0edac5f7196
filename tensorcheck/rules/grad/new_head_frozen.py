"""TCK420."""

from collections.abc import Iterator

from tensorcheck.events.gradients import NewLayerFrozen
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class NewHeadFrozen(Rule[NewLayerFrozen]):
    """A layer that was just put into the model, with random weights, is frozen like the rest.

    ## What it does
    Before the first step, looks for layers that the running code put into the model from outside, such as
    `model.fc = nn.Linear(512, 2)`, and that are frozen while other parameters are trained.

    ## Why it matters
    The other layers learn around a projection that was drawn at random, so the loss falls, and the head that was meant
    to be trained first of all never is. Most often the line that freezes matches too many names.

    ## Example
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.body, self.fc = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 10)

        def forward(self, rows):
            return self.fc(self.body(self.stem(rows)))

    model = Net()
    model.fc = nn.Linear(8, 2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("body")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.body, self.fc = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 10)

        def forward(self, rows):
            return self.fc(self.body(self.stem(rows)))

    model = Net()
    model.fc = nn.Linear(8, 2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(("body", "fc"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    It is read from the source: a layer that the same files name in any other way, or beside a `load_state_dict`, is
    silent, since it may have been given weights or been frozen on purpose.
    """

    code = "TCK420"
    name = "new-head-frozen"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: NewLayerFrozen) -> Iterator[Finding]:
        """Report it at the line that freezes, if there is one such line."""
        freezing = event.freezing[0] if len(event.freezing) == 1 else None
        site = freezing or event.made
        related = [Related(event.made, f"`{event.path}` is put in here")] if freezing is not None else []
        related += [Related(each, "this sets `requires_grad`") for each in event.freezing[:3] if freezing is None]
        yield self.finding(
            first_that_fits(
                f"`{event.path}` is new and frozen, while other layers are trained",
                "a new layer is frozen, while other layers are trained",
            ),
            label=f"freezes `{event.path}` too" if freezing is not None else "new, and frozen",
            expected="a new layer, whose weights are random, is trained",
            got=f"{event.kind} with requires_grad=False",
            site=site,
            module=event.path,
            related=tuple(related),
            notes=(f"frozen: {listed_parameters(event.names, {})}",),
            help=f"model.{event.path}.requires_grad_(True)    after the line that freezes",
        )

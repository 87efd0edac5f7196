"""TCK901."""

import re
from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, listed

_UNFINISHED = "Expected to have finished reduction in the prior iteration before starting a new one"
_INDICES = re.compile(r"Parameter indices which did not receive grad for rank (?P<rank>\d+): (?P<indices>[\d ]+)")
_NAMES = re.compile(r"Parameters which did not receive grad for rank (?P<rank>\d+): (?P<names>[\w., ]+)")


class UnusedParameter(Rule[Crashed]):
    """`DistributedDataParallel` waits for the gradient of a parameter that the loss does not depend on.

    ## What it does
    Explains `Expected to have finished reduction in the prior iteration before starting a new one`: the message has the
    numbers of the parameters that got no gradient, and this their names.

    ## Why it matters
    Each process averages each gradient with the others, so all of them wait for a gradient that never comes. It is
    most often a layer that `forward` does not use, or whose output the loss does not use, and only the second step
    raises.

    ## Example
    ```python
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.used(x)

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(Net())
        with tensorcheck.watch(model) as watch:
            for _ in range(2):
                model(torch.zeros(8, 4)).sum().backward()
    finally:
        dist.destroy_process_group()
    ```

    ## Use instead
    ```python
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Linear(4, 2)

        def forward(self, x):
            return self.used(x)

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(Net())
        with tensorcheck.watch(model) as watch:
            for _ in range(2):
                model(torch.zeros(8, 4)).sum().backward()
    finally:
        dist.destroy_process_group()
    ```

    ## Limits
    `find_unused_parameters=True` lets the training go on, and costs a walk through the graph at each step. It hides a
    layer that was forgotten.
    """

    code = "TCK901"
    name = "unused-parameter"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name the parameters."""
        if _UNFINISHED not in event.message:
            return
        names = _names(event)
        indices = _INDICES.search(event.message)
        count = len(names) or (len(indices["indices"].split()) if indices is not None else 0)
        paths = dict.fromkeys(name.rpartition(".")[0] for name in names)
        layers = listed(list(paths), most=2)
        headline = first_that_fits(
            f"{counted(count, 'parameter')} of {layers} got no gradient, which DDP waits for" if names else "",
            f"{counted(count, 'parameter')} got no gradient, which DDP waits for",
        )
        got = (
            listed(names, most=6) if names else f"none for numbers {indices['indices'].strip()}" if indices else "none"
        )
        yield self.finding(
            headline or f"{counted(count, 'parameter')} got no gradient, which DDP waits for",
            label="the step before is not finished",
            expected="a gradient for each parameter that requires one, in each step",
            got=f"no gradient for {got}" if names else got,
            site=event.site,
            module=next(iter(paths), None),
            help=f"{_with_flag(event)}    if they are left out on purpose",
        )


def _with_flag(event: Crashed) -> str:
    """The call that wraps the model, with the flag in it; the flag alone where that call is not known."""
    made = next((each.definition for each in event.modules if each.kind == "DistributedDataParallel"), None)
    is_plain = made is not None and made.code.endswith(")") and "find_unused_parameters" not in made.code
    return f"{made.code[:-1]}, find_unused_parameters=True)" if made and is_plain else "find_unused_parameters=True"


def _names(event: Crashed) -> list[str]:
    """The dotted paths of the parameters, without the wrapper's own `module.`."""
    told = _NAMES.search(event.message)
    if told is not None:
        return [name.strip() for name in told["names"].split(",") if name.strip()]
    indices = _INDICES.search(event.message)
    wanted = event.trainable_models.wanted if event.trainable_models is not None else ()
    places = [int(index) for index in indices["indices"].split()] if indices is not None else []
    return [wanted[place].removeprefix("module.") for place in places if place < len(wanted)]

"""TCK301."""

from collections.abc import Iterator, Sequence

from tensorcheck.contracts import contract_of
from tensorcheck.events import Crashed, ModuleCalled
from tensorcheck.findings import Finding, Severity
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor
from tensorcheck.wording import expectation, first_input, how_it_got_here, title, weight_of


class LayerInputDevice(Rule[Crashed | ModuleCalled]):
    """A layer is given a tensor that lives on another device than its weights.

    ## What it does
    Compares the device of a layer's input with that of its weights: when the layer raises, and in traced steps also
    where it does not, for some layers let an input of the `meta` device pass and answer with a tensor without values.

    ## Why it matters
    `Expected all tensors to be on the same device` names neither the layer nor which of the two was forgotten. Moving a
    model (`model.to(device)`) does not move its batches, and moving a tensor returns a new one.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    features = torch.zeros(8, 4, device="meta")
    with tensorcheck.watch(model) as watch:
        model(features)
    ```

    ## Use instead
    ```python
    device = "cpu"
    model = nn.Linear(4, 2).to(device)
    features = torch.zeros(8, 4).to(device)
    with tensorcheck.watch(model) as watch:
        model(features)
    ```
    """

    code = "TCK301"
    name = "layer-input-device"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed | ModuleCalled) -> Iterator[Finding]:
        """Compare the devices of a layer's input and its weight."""
        if isinstance(event, ModuleCalled):
            given = first_input(event.inputs)
            if given is not None and given.meta.device == "meta":
                yield from self._compared(event.module, given, event.site, calls=())
        elif event.call is not None and event.call.module is not None:
            operand = event.call.first
            if operand is not None:
                given = NamedTensor(operand.name, operand.meta)
                site = operand.site or event.site
                yield from self._compared(event.call.module, given, site, calls=event.calls, name=operand.spelled)

    def _compared(
        self,
        module: ModuleMeta,
        given: NamedTensor,
        site: Site | None,
        *,
        calls: Sequence[ModuleCalled],
        name: str = "",
    ) -> Iterator[Finding]:
        contract, weight = contract_of(module), weight_of(module)
        if contract is None or weight is None or weight.device == given.meta.device:
            return
        dtype = "int64" if contract.dtype == "integer" else weight.dtype
        yield self.finding(
            f"{title(module)} is on {weight.device} but got a tensor on {given.meta.device}",
            label=str(given.meta),
            expected=expectation(f"{contract.expectation(module, dtype)} {weight.device}", module),
            got=f"{given.meta.notation} {given.meta.device}",
            site=site,
            module=module.path,
            path=how_it_got_here(calls),
            help=f'{name}.to("{weight.device}")' if name and given.meta.device != "meta" else "",
        )

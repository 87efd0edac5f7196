"""TCK301."""

from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.contracts import contract_of
from tensorcheck.events import Crashed, ModuleCalled
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.placement import IS_ABOUT_DEVICES, are_apart, movings
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import (
    device_was_set,
    expectation,
    first_input,
    first_that_fits,
    how_it_got_here,
    label_for,
    made,
    short,
    title,
    titled,
    weight_of,
)


class LayerInputDevice(Rule[Crashed | ModuleCalled]):
    """A layer is given a tensor that lives on another device than its weights.

    ## What it does
    Compares the devices of what a layer is given, its hidden state and its masks as well, with that of its weights:
    when the layer raises, and in traced steps also where it does not, for some layers let an input of the `meta` device
    pass and answer with a tensor without values.

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
        """Compare the devices of a layer's inputs and its weight."""
        if isinstance(event, ModuleCalled):
            yield from self._called(event)
        elif event.call is not None and event.call.kind == "layer" and IS_ABOUT_DEVICES.search(event.message):
            module = event.call.module
            weight = weight_of(module) if module is not None else None
            if module is not None and weight is not None and weight.device != "meta":
                yield from self._crashed(event, module, weight, event.call.operands)

    def _called(self, event: ModuleCalled) -> Iterator[Finding]:
        given, weight = first_input(event.inputs), weight_of(event.module)
        if given is None or weight is None or given.meta.device != "meta" or weight.device == "meta":
            return
        if contract_of(event.module) is not None:
            names = (titled(event.module), title(event.module))
            headlines = (f"{name} is on {weight.device} but got a tensor on meta" for name in names)
            yield self._found(first_that_fits(*headlines), event.module, weight, given.meta, site=event.site)

    def _crashed(
        self, event: Crashed, module: ModuleMeta, weight: TensorMeta, operands: tuple[Operand, ...]
    ) -> Iterator[Finding]:
        given = next((each for each in operands if are_apart(each.meta.device, weight.device)), None)
        if given is None:
            return
        device = given.meta.device

        def is_guilty(meta: TensorMeta) -> bool:
            return meta.device == device

        what = [f"`{short(given.spelled)}`"] if given.site is not None else []
        names = (titled(module), title(module))
        headlines = (
            f"{name} is on {weight.device} but got {each} on {device}" for name in names for each in (*what, "a tensor")
        )
        yield self._found(
            first_that_fits(*headlines),
            module,
            weight,
            given.meta,
            site=given.site or event.site,
            related=made(given, is_guilty, f"on {device}", ends=device_was_set),
            path=how_it_got_here(event.calls),
            notes=("likely: the model was not moved",) if weight.device == "cpu" and device != "meta" else (),
            fixes=tuple(movings(given, weight.device)),
            is_first=given is operands[0],
        )

    def _found(
        self,
        headline: str,
        module: ModuleMeta,
        weight: TensorMeta,
        given: TensorMeta,
        *,
        is_first: bool = True,
        **parts: object,
    ) -> Finding:
        contract = contract_of(module) if is_first else None
        dtype = "int64" if contract is not None and contract.dtype == "integer" else weight.dtype
        spec = contract.expectation(module, dtype) if contract is not None else given.notation
        return self.finding(
            headline,
            label=label_for(headline, str(given), f"{given.notation} {given.device}"),
            expected=expectation(f"{spec} {weight.device}", module),
            got=f"{given.notation} {given.device}",
            module=module.path,
            **parts,
        )

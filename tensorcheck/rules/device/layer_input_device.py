"""TCK301."""

from collections.abc import Iterator

from tensorcheck.calls import Cause, FailedCall, Operand
from tensorcheck.contracts import contract_of
from tensorcheck.events.crash import Crashed
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.placement import IS_ABOUT_DEVICES, are_apart, device_places, movings
from tensorcheck.knowledge.weight_causes import cure, device_cause, notes_on, told
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import (
    each_line_once,
    expectation,
    first_input,
    first_that_fits,
    how_it_got_here,
    label_for,
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
                yield from self._crashed(event, event.call, module, weight)

    def _called(self, event: ModuleCalled) -> Iterator[Finding]:
        given, weight = first_input(event.inputs), weight_of(event.module)
        if given is None or weight is None or given.meta.device != "meta" or weight.device == "meta":
            return
        if contract_of(event.module) is not None:
            spelled = event.lineage.ancestors[0].site if event.lineage.ancestors else None
            operand = Operand(given.name, given.meta, spelled, event.lineage)
            headline = _headline(event.module, weight, operand)
            yield self._found(
                headline, event.module, weight, given.meta, site=event.site, related=device_places(operand)
            )

    def _crashed(self, event: Crashed, call: FailedCall, module: ModuleMeta, weight: TensorMeta) -> Iterator[Finding]:
        given = next((each for each in call.operands if are_apart(each.meta.device, weight.device)), None)
        if given is None:
            return
        device = given.meta.device
        cause = device_cause(call, weight.device, device)
        cured = cure(cause)
        is_left = weight.device == "cpu" and device != "meta" and cause is None
        yield self._found(
            _headline(module, weight, given),
            module,
            weight,
            given.meta,
            site=given.site or event.site,
            related=_places(call, weight, given, cause),
            path=how_it_got_here(event.calls),
            notes=("likely: the model was not moved",)
            if is_left
            else notes_on(cause)
            if _is_root(cause, weight)
            else (),
            help=cured,
            fixes=() if cured else tuple(movings(given, weight.device)),
            is_first=given is call.first,
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


def _headline(module: ModuleMeta, weight: TensorMeta, given: Operand) -> str:
    what = [f"`{short(given.spelled)}`"] if given.site is not None else []
    names = (titled(module), title(module))
    return first_that_fits(
        *(
            f"{name} is on {weight.device} but got {each} on {given.meta.device}"
            for name in names
            for each in (*what, "a tensor")
        )
    )


def _places(call: FailedCall, weight: TensorMeta, given: Operand, cause: Cause | None) -> tuple[Related, ...]:
    """Where the input came to its device and the weights to theirs, what is at fault last."""
    if cause is None:
        return device_places(given, call)
    if _is_root(cause, weight):
        return (told(cause),)
    return each_line_once([told(cause), *device_places(given, call)], given.site)


def _is_root(cause: Cause | None, weight: TensorMeta) -> bool:
    """Whether the weights are at fault: not moved with the model, or moved back to where models are built."""
    return cause is not None and (cause.kind == "unregistered" or weight.device == "cpu")

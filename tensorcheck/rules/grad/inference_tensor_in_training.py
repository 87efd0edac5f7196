"""TCK411."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.missing_gradients import is_of_inference, is_without_graph
from tensorcheck.lineage import Ancestor, Step
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short, title

_REFUSED = re.compile(
    r"Inference tensors cannot be saved for backward|update to inference tensor outside InferenceMode"
    r"|requires_grad=True on inference tensor|Inference tensors do not track version|inference tensor outside",
    re.IGNORECASE,
)


class InferenceTensorInTraining(Rule[Crashed]):
    """A tensor that was made under `torch.inference_mode` is used where gradients are recorded.

    ## What it does
    Explains `Inference tensors cannot be saved for backward` and the refusals of changing such a tensor in place or of
    asking it for gradients: which tensor it is, and which `inference_mode` it was made under.

    ## Why it matters
    Tensors of inference mode stay so for good: they can't enter a computation that is differentiated. Features, soft
    labels or statistics that are computed once and then trained on want `torch.no_grad()`.

    ## Example
    ```python
    teacher, student = nn.Linear(4, 8), nn.Linear(8, 2)
    with tensorcheck.watch(student) as watch:
        with torch.inference_mode():
            features = teacher(torch.rand(16, 4))
        student(features).square().mean().backward()
    ```

    ## Use instead
    ```python
    teacher, student = nn.Linear(4, 8), nn.Linear(8, 2)
    with tensorcheck.watch(student) as watch:
        with torch.no_grad():
            features = teacher(torch.rand(16, 4))
        student(features).square().mean().backward()
    ```
    """

    code = "TCK411"
    name = "inference-tensor-in-training"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name the tensor, and the mode that it was made under."""
        if _REFUSED.search(event.message) or (is_without_graph(event) and is_of_inference(event)):
            operands = [event.loss] if event.loss is not None else event.call.operands if event.call is not None else ()
            yield self._finding(event, next((each for each in operands if each.is_inference), None))

    def _finding(self, event: Crashed, given: Operand | None) -> Finding:
        module = event.call.module if event.call is not None else None
        made = next((each for each in given.lineage.ancestors if each.grad_off is not None), None) if given else None
        mode = made.grad_off if made is not None else None
        layer = title(module) if module is not None and module.path else f"`{module.kind}`" if module else ""
        name = f"`{short(given.spelled)}`" if given is not None else layer or "a tensor"
        headline = first_that_fits(
            f"{name} was made under inference_mode and is used in training by {layer}" if layer and given else "",
            f"{name} was made under inference_mode and is used in training",
        )
        return self.finding(
            headline or f"{name} was made under inference_mode and is used in training",
            label=label_for(headline or "x" * 40, str(given.meta) if given is not None else "", "made for inference"),
            expected="tensors that were made outside inference_mode, or under no_grad",
            got=f"{given.meta}, made under inference_mode" if given is not None else "tensors of inference_mode",
            site=(given.site if given is not None else None) or event.site,
            module=module.path if module is not None else None,
            related=_places(given, made, mode, event),
            help=_help(mode, given),
        )


def _places(given: Operand | None, made: Ancestor | None, mode: Site | None, event: Crashed) -> tuple[Related, ...]:
    """The mode, where the tensor was made under it, and how it came here."""
    shown = (given.site if given is not None else None) or event.site
    places = [Related(mode, "what is made under this is for inference alone")] if mode is not None else []
    if made is not None and made.site is not None:
        places.append(Related(made.site, f"`{short(made.name)}` is made under it here"))
    named = [each for each in (given.lineage.ancestors if given else ()) if each.step is not Step.SPELLED]
    places += [Related(each.site, f"`{short(each.name)}` gets it here") for each in named[:1] if each.site is not None]
    return each_line_once(places, shown)


def _help(mode: Site | None, given: Operand | None) -> str:
    if mode is not None and "inference_mode" in mode.code:
        line = mode.source.strip()
        return line.replace(mode.code, mode.code.replace("inference_mode", "no_grad")) if mode.code in line else ""
    return f"{given.spelled}.clone()" if given is not None and not given.meta.requires_grad else ""

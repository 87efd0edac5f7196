"""TCK518."""

import math
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.backward import LossComputed, TargetValues
from tensorcheck.events.checkpoint import WeightsLoaded
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.activations import LAYERS
from tensorcheck.rule import Rule


class InitialLoss(Rule[LossComputed | WeightsLoaded]):
    """The first classification loss of a fresh model is far above that of a guess.

    ## What it does
    Compares the first `cross_entropy` before any step with ln(number of classes), which is what a model has that thinks
    all classes equally likely. From three times that it is worth knowing, from five times it is a warning.

    ## Why it matters
    A fresh model that is sure of the wrong class has outputs that are far too large: the inputs were not normalised (0
    to 255 in place of 0 to 1), or the last layer's weights start too large. The first epochs are spent on undoing that.

    ## Example
    ```python
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    pixels, labels = torch.randint(256, (32, 64)).float(), torch.randint(10, (32,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(pixels), labels).backward()
    ```

    ## Use instead
    ```python
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    pixels, labels = torch.randint(256, (32, 64)).float(), torch.randint(10, (32,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(pixels / 255), labels).backward()
    ```

    ## Limits
    A loss below that is silent, for a model may be pretrained, and so is a model whose weights were loaded while it was
    watched. Logits that are scaled on purpose, as those of a margin loss, are silent too, and so is a sum over samples.
    """

    code = "TCK518"
    name = "initial-loss"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._is_over = False

    def check(self, event: LossComputed | WeightsLoaded) -> Iterator[Finding]:
        """Judge the first loss of logits that come straight out of a layer."""
        if isinstance(event, WeightsLoaded):
            self._is_over = True
        elif not self._is_over and event.first_value is not None and event.function == "cross_entropy":
            self._is_over = True
            yield from self._judged(event, event.first_value)

    def _judged(self, event: LossComputed, value: float) -> Iterator[Finding]:
        fed, shape = event.fed, event.input.meta.shape
        classes = shape[1] if len(shape) > 1 else shape[0]
        is_plain = fed is not None and fed.by in LAYERS and not fed.is_scaled and event.reduction == "mean"
        if (
            not is_plain
            or not _sums_to_one(event.target_values)
            or classes < _LEAST_CLASSES
            or not value > _NOTEWORTHY * math.log(classes)
        ):
            return
        found = self._finding(event, value, classes)
        is_far = value > _FAR * math.log(classes)
        yield found if is_far else replace(found, severity=Severity.INFO)

    def _finding(self, event: LossComputed, value: float, classes: int) -> Finding:
        return self.finding(
            f"the first loss is {value:.3g}, but a guess among {classes} classes has {math.log(classes):.3g}",
            label=f"{value:.3g} before the first step",
            expected=f"about {math.log(classes):.3g}    ln({classes})",
            got=f"{value:.3g}    {value / math.log(classes):.2g} times as much",
            site=event.site,
            notes=("likely the inputs are not normalised, or the weights of the last layer start too large",),
        )


_NOTEWORTHY = 3
_FAR = 5
_LEAST_CLASSES = 2


def _sums_to_one(targets: TargetValues | None) -> bool:
    """Whether targets that are probabilities may be so; weighted ones make any loss large."""
    return targets is None or (targets.highest <= 1 and not (targets.is_whole and targets.hot > 1))

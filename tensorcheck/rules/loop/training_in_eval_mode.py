"""TCK502."""

import re
from collections.abc import Iterator, Sequence

from tensorcheck.events.forward import ForwardFinished, ModeSet, ModeSwitched
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import listed, not_called

_COMPUTED = r"\.train\((?!(mode=)?(False|0)\))."


class TrainingInEvalMode(Rule[ForwardFinished | ModeSwitched | ModeSet | StepTaken]):
    """After an evaluation, training goes on in evaluation mode.

    ## What it does
    Finds models with dropout or batch normalisation that took steps in training mode, were then called in evaluation
    mode, and take further steps without `model.train()`; those that were evaluated before the first step and never put
    back; and those for which the argument of `model.train(...)` was never true.

    ## Why it matters
    From the second epoch on, dropout is off and the running statistics of batch normalisation stand still. The loss
    looks better than before, for the wrong reason.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
            model.eval()
            with torch.inference_mode():
                model(torch.rand(16, 4))
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            model.train()
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
            model.eval()
            with torch.inference_mode():
                model(torch.rand(16, 4))
    ```

    ## Limits
    A model that is put into evaluation mode by `eval()` from the start and trained at once, as for a fine-tuning with
    frozen statistics, is silent, and so is one for which `eval()` is called again after a first evaluation.
    """

    code = "TCK502"
    name = "training-in-eval-mode"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._has_trained = False
        self._evaluated: ModeSwitched | None = None
        self._set: dict[bool, Site] = {}
        """Where `train` and `eval` were called."""
        self._evaluated_at_first = False
        """Whether it was evaluated before the first step, and `eval` not called anywhere else since."""

    def check(self, event: ForwardFinished | ModeSwitched | ModeSet | StepTaken) -> Iterator[Finding]:
        """Remember the switch to evaluation; speak at a step that follows it."""
        match event:
            case ModeSet(is_training=is_training, site=Site() as site):
                self._set[is_training] = site
                self._evaluated_at_first = False
            case ForwardFinished(step=0, is_training=False, is_grad_enabled=False) if False in self._set:
                self._evaluated_at_first = True
            case ModeSwitched():
                self._evaluated = None if event.is_training else event
            case StepTaken(is_training=True):
                self._has_trained = True
            case StepTaken(mode_layers=(_, *_)) if self._has_trained or self._is_left_so():
                yield self._finding(event)
            case _:
                pass

    def _is_left_so(self) -> bool:
        return self._evaluated_at_first or self._is_never_true()

    def _is_never_true(self) -> bool:
        """Whether the mode was computed, and never came out as training."""
        computed = self._set.get(False)
        return computed is not None and True not in self._set and re.search(_COMPUTED, computed.code) is not None

    def _finding(self, event: StepTaken) -> Finding:
        return self.finding(
            "the optimizer steps while the model is still in evaluation mode",
            label=f"{listed(event.mode_layers, most=2)} as in evaluation",
            expected=f"model.training is True{', as in the first steps' if self._has_trained else ''}",
            got=f"model.training is False    {' and '.join(_effects(event.mode_layers))}",
            site=event.site,
            module="",
            related=(*not_called(event.uncalled), *self._related()),
            help=f"{event.uncalled.code}()" if event.uncalled else "model.train()    at the start of each epoch",
        )

    def _related(self) -> Iterator[Related]:
        if False in self._set:
            yield Related(self._set[False], "the model is put into evaluation mode here")
        elif self._evaluated is not None and self._evaluated.site is not None:
            yield Related(self._evaluated.site, "called in evaluation mode first here")
        if True in self._set:
            yield Related(self._set[True], "it is put into training mode here alone")


def _effects(kinds: Sequence[str]) -> Iterator[str]:
    if any("Norm" not in kind for kind in kinds):
        yield "dropout is off"
    if any("Norm" in kind for kind in kinds):
        yield "batch statistics stand still"

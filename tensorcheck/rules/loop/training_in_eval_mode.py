"""TCK502."""

from collections.abc import Iterator

from tensorcheck.events import ModeSwitched, StepTaken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule


class TrainingInEvalMode(Rule[ModeSwitched | StepTaken]):
    """After an evaluation, training goes on in evaluation mode.

    ## What it does
    Finds models with dropout or batch normalisation that took steps in training mode, were then called in evaluation
    mode, and take further steps without `model.train()`.

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
    A model that is in evaluation mode from the start, as for a fine-tuning with frozen statistics, is silent.
    """

    code = "TCK502"
    name = "training-in-eval-mode"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._has_trained = False
        self._evaluated: ModeSwitched | None = None

    def check(self, event: ModeSwitched | StepTaken) -> Iterator[Finding]:
        """Remember the switch to evaluation; speak at a step that follows it."""
        match event:
            case ModeSwitched():
                self._evaluated = None if event.is_training else event
            case StepTaken(is_training=True):
                self._has_trained = True
            case StepTaken(has_mode_layers=True) if self._has_trained:
                yield self._finding(event)
            case _:
                pass

    def _finding(self, event: StepTaken) -> Finding:
        switched = self._evaluated.site if self._evaluated is not None else None
        return self.finding(
            "the optimizer steps while the model is still in evaluation mode",
            label="trains with dropout off or statistics frozen",
            expected="model.training is True, as in the first steps",
            got="model.training is False",
            site=event.site,
            module="",
            related=(Related(switched, "called in evaluation mode first here"),) if switched is not None else (),
            help="model.train()    at the start of each epoch",
        )

"""TCK507."""

from collections.abc import Iterator

from tensorcheck.events.schedule import SchedulePaced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits

_TOTALS = {
    "OneCycleLR": "total_steps",
    "CosineAnnealingLR": "T_max",
    "PolynomialLR": "total_iters",
    "LinearLR": "total_iters",
}
_NOTHING = 1e-6
"""A learning rate shrunk to this part of itself moves no float32 weight by more than its rounding does."""
_EPOCHS = 3
"""After so many epochs at the latest it has to be seen, for some loops stop early."""


class SchedulerAtWrongRate(Rule[SchedulePaced]):
    """A learning-rate schedule that counts epochs is stepped after each batch, or the other way round.

    ## What it does
    When a schedule is stepped for the second time, compares the number of steps that it was built for with the loops
    that are running: with the rounds of the one over a `range`, and with the length of the DataLoader within. Finds
    `T_max`, `total_steps` and `total_iters` that are the number of epochs in a schedule stepped after each batch, or
    the number of all batches in one stepped after each epoch; a `OneCycleLR` that the loop will step too often; and
    `MultiStepLR`, `StepLR` and `ExponentialLR` whose decays, made for epochs, are over within the first few of them.

    ## Why it matters
    A cosine made for 10 epochs comes to its end in the first 10 batches, and then rises and falls all over again. A
    schedule made for all batches and stepped in each epoch hardly begins.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    loader = torch.utils.data.DataLoader(torch.rand(64, 4), batch_size=8)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
        for epoch in range(3):
            for batch in loader:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                scheduler.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    loader = torch.utils.data.DataLoader(torch.rand(64, 4), batch_size=8)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
        for epoch in range(3):
            for batch in loader:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            scheduler.step()
    ```

    ## Limits
    Loops without a `range`, and schedules of a user's own or within others, are not judged. A total that fits neither
    the epochs nor the batches may be meant so, and is silent.
    """

    code = "TCK507"
    name = "scheduler-at-wrong-rate"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: SchedulePaced) -> Iterator[Finding]:
        """Compare what it was built for with how it is stepped."""
        if event.epochs is None:
            return
        name, total = _total(event)
        each_batch = event.pace == 1 and event.batches is not None and event.batches > 1
        if each_batch and total == event.epochs > 1:
            yield self._for_epochs(event, f"{name}={total}")
        elif event.pace > 1 and total is not None and _counts_batches(total, event):
            yield self._for_batches(event, f"{name}={total}")
        elif each_batch and event.batches is not None:
            yield from self._foreseen(event, total, event.batches)

    def _foreseen(self, event: SchedulePaced, total: int | None, batches: int) -> Iterator[Finding]:
        steps = (event.epochs or 0) * batches
        if event.kind == "OneCycleLR" and total is not None and total < steps and not event.may_end_early:
            yield self._runs_out(event, total, steps)
        elif event.milestones and event.milestones[-1] <= batches and event.milestones[-1] <= (event.epochs or 0):
            yield self._for_epochs(event, f"milestones={list(event.milestones)}")
        elif _left_after(event, min(steps, _EPOCHS * batches)) < _NOTHING:
            yield self._for_epochs(event, _spelled(event))

    def _for_epochs(self, event: SchedulePaced, spelled: str) -> Finding:
        return self.finding(
            first_that_fits(f"`{event.kind}` is built for epochs and stepped after each batch", "stepped per batch"),
            label="steps after each batch",
            expected=f"a step for each epoch    {spelled}, {_epochs(event)}",
            got=f"{event.batches} steps for each epoch: the length of `{event.loader}`",
            site=event.site,
            related=tuple(_built(event)),
            help=f"{event.site.code}    after the loop over `{event.loader}`" if event.site is not None else "",
        )

    def _for_batches(self, event: SchedulePaced, spelled: str) -> Finding:
        return self.finding(
            f"`{event.kind}` is built for batches and stepped after each epoch",
            label="steps after each epoch",
            expected=f"a step for each batch    {spelled}",
            got=f"a step after {event.pace} steps of the optimizer, {event.epochs} in all: {_epochs(event)}",
            site=event.site,
            related=tuple(_built(event)),
        )

    def _runs_out(self, event: SchedulePaced, total: int, steps: int) -> Finding:
        return self.finding(
            f"`{event.kind}` is built for {total} steps, and the loop takes {steps}",
            label=f"raises after step {total}",
            expected=f"total_steps={steps}    {_epochs(event)}, {event.batches} batches in `{event.loader}`",
            got=f"total_steps={total}",
            site=event.built or event.site,
            related=(Related(event.site, "stepped after each batch here"),) if event.built and event.site else (),
            help=f"total_steps={event.epochs_code} * len({event.loader})" if event.epochs_code else "",
        )


def _total(event: SchedulePaced) -> tuple[str, int | None]:
    """The number of steps that it was built for, and what that is called; a warm-up's is none."""
    name = _TOTALS.get(event.kind, "")
    value = event.settings.get(name)
    is_warm_up = event.kind == "LinearLR" and event.settings["end_factor"] >= event.settings["start_factor"]
    return name, None if value is None or is_warm_up else int(value)


def _counts_batches(total: int, event: SchedulePaced) -> bool:
    """Whether a number is that of the optimizer's steps in all epochs, to a step in each more or less."""
    epochs = event.epochs or 0
    return epochs > 1 and (event.pace - 1) * epochs <= total <= (event.pace + 1) * epochs and total > epochs


def _left_after(event: SchedulePaced, steps: int) -> float:
    """What part of the learning rate is left after so many steps of a decay."""
    gamma = event.settings.get("gamma", 1.0)
    match event.kind:
        case "StepLR":
            return float(gamma ** (steps // max(int(event.settings["step_size"]), 1)))
        case "ExponentialLR":
            return float(gamma**steps)
        case _:
            return 1.0


def _spelled(event: SchedulePaced) -> str:
    return ", ".join(f"{name}={event.settings[name]:g}" for name in ("step_size", "gamma") if name in event.settings)


def _epochs(event: SchedulePaced) -> str:
    code = event.epochs_code if event.epochs_code != str(event.epochs) else ""
    return f"{event.epochs} epochs{f' ({code})' if code else ''}"


def _built(event: SchedulePaced) -> Iterator[Related]:
    if event.built is not None:
        yield Related(event.built, "the schedule is built here")

"""TCK714."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.passes import EvaluatedOnOtherScale, Spread
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class OtherNormalisation(Rule[EvaluatedOnOtherScale]):
    """The validation is normalised with other statistics than the training.

    ## What it does
    Measures the columns of tables and the channels of images over a whole pass of the training and of an evaluation.
    It finds data whose every column has mean 0 and deviation 1, or goes from 0 to 1, to the last digits: that is only
    so if the evaluated data was normalised by its own statistics. And it finds data that was normalised for the
    training, and otherwise or not at all for the evaluation.

    ## Why it matters
    The same value means one thing in the training and another in the validation. The model is measured on inputs that
    it was never taught to read, and one sample alone, as it comes later, can't be normalised like that at all.

    ## Example
    ```python
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_rows, val_rows = torch.rand(48, 3), torch.rand(32, 3)
    train_rows = (train_rows - train_rows.mean(0)) / train_rows.std(0)
    val_rows = (val_rows - val_rows.mean(0)) / val_rows.std(0)
    train_loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(train_rows), batch_size=16)
    val_loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(val_rows), batch_size=16)
    with tensorcheck.watch(model) as watch:
        for (batch,) in train_loader:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in val_loader:
                error = model(batch).square().mean()
    ```

    ## Use instead
    ```python
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_rows, val_rows = torch.rand(48, 3), torch.rand(32, 3)
    mean, std = train_rows.mean(0), train_rows.std(0)
    train_rows, val_rows = (train_rows - mean) / std, (val_rows - mean) / std
    train_loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(train_rows), batch_size=16)
    val_loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(val_rows), batch_size=16)
    with tensorcheck.watch(model) as watch:
        for (batch,) in train_loader:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in val_loader:
                error = model(batch).square().mean()
    ```

    ## Limits
    Only floating-point tables and images on the CPU are measured, and a subject or a domain that is normalised by
    itself on purpose looks the same. Sequences are left alone: their values drift.
    """

    code = "TCK714"
    name = "other-normalisation"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: EvaluatedOnOtherScale) -> Iterator[Finding]:
        """Ask first for statistics of its own, then for another scale."""
        if event.samples < _FEWEST:
            return
        if _is_by_itself(event):
            yield self._finding(event, "is normalised by its own statistics", "normalised by itself")
        elif _is_other_scale(event):
            yield self._finding(event, "is not normalised as the training data is", "on another scale")

    def _finding(self, event: EvaluatedOnOtherScale, what: str, label: str) -> Finding:
        owner = event.loader[-1] if event.loader else ""
        of_training, of_evaluation = event.of_training[0], event.of_evaluation[0]
        noun = "channel" if event.is_image else "column"
        site = event.made or event.site
        related = event.trained_made if event.trained_made != site else None
        return self.finding(
            first_that_fits(f"what `{owner}` gives {what}", f"the evaluated data {what}")
            if owner
            else f"the evaluated data {what}",
            label=label,
            expected=f"the same statistics for both    {noun} 0 of the training is {_words(of_training)}",
            got=f"{noun} 0 is {_words(of_evaluation)}",
            site=site,
            related=(Related(related, "the training data"),) if related is not None else (),
        )


_FEWEST = 16
_EXACT, _EXACT_STD = 1e-4, 1e-3
_ABOUT = 0.3
_FEWEST_COLUMNS = 3
_MUCH, _LITTLE = 5.0, 0.2
_SOME, _LESS, _SHIFT = 1.8, 0.55, 0.9
_MOST = 0.6


def _words(spread: Spread) -> str:
    return f"{spread.mean:.3g} ± {spread.std:.3g}, from {spread.lowest:.3g} to {spread.highest:.3g}"


def _is_by_itself(event: EvaluatedOnOtherScale) -> bool:
    """Whether each column of the evaluation is exactly as normalising by its own statistics makes it."""
    if event.is_image or event.samples >= event.trained_samples:  # all data, or the training itself, evaluated
        return False
    varied = [
        (train, valid) for train, valid in zip(event.of_training, event.of_evaluation, strict=True) if valid.std > 0
    ]
    unbiased = (event.samples / (event.samples - 1)) ** 0.5
    is_standard = bool(varied) and all(
        abs(valid.mean) < _EXACT
        and min(abs(valid.std - 1), abs(valid.std * unbiased - 1)) < _EXACT_STD
        and abs(train.mean) < _ABOUT
        and abs(train.std - 1) < _ABOUT
        for train, valid in varied
    )
    is_between = len(varied) >= _FEWEST_COLUMNS and all(
        abs(valid.lowest) < _EXACT and abs(valid.highest - 1) < _EXACT and abs(train.highest - 1) < _ABOUT
        for train, valid in varied
    )
    return is_standard or (is_between and event.is_continuous)


def _is_other_scale(event: EvaluatedOnOtherScale) -> bool:
    varied = [
        (train, valid)
        for train, valid in zip(event.of_training, event.of_evaluation, strict=True)
        if min(train.std, valid.std) > 0
    ]
    ratios = [valid.std / train.std for train, valid in varied]
    if event.is_image:
        shifts = [abs(valid.mean - train.mean) / train.std for train, valid in varied]
        are_off = [not _LESS < ratio < _SOME or shift > _SHIFT for ratio, shift in zip(ratios, shifts, strict=True)]
        return bool(varied) and all(are_off)
    return len(varied) >= _FEWEST_COLUMNS and _is_normal([train for train, _ in varied]) and _are_raw(ratios)


def _is_normal(spreads: Sequence[Spread]) -> bool:
    """Whether the columns of a table were brought to one scale."""
    return all(max(abs(each.mean), each.std, 1 / each.std / 10) < 2 for each in spreads)  # noqa: PLR2004 - 0 ± 1, or 0 to 1


def _are_raw(ratios: Sequence[float]) -> bool:
    """Whether most columns are on scales of their own; all larger by one factor, they may just have grown."""
    off = [ratio for ratio in ratios if ratio > _MUCH or ratio < _LITTLE]
    return len(off) > _MOST * len(ratios) and max(ratios) / min(ratios) > _MUCH

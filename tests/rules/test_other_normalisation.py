"""Data that is evaluated on another scale than it is trained on, and data that is merely other data."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

SCALES = torch.tensor([1.0, 30.0, 5000.0, 0.01])
Pair = tuple[Tensor, Tensor]


def drawn(count: int, seed: int) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) * SCALES + 3 * SCALES


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def standard(rows: Tensor, by: Tensor) -> Tensor:
    return (rows - by.mean(0)) / by.std(0)


def between(rows: Tensor, by: Tensor) -> Tensor:
    return (rows - by.amin(0)) / (by.amax(0) - by.amin(0))


def found(pair: Pair) -> list[Finding]:
    train_rows, val_rows = pair
    model = nn.Sequential(nn.Flatten(), nn.Linear(train_rows[0].numel(), 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    train_loader = DataLoader(TensorDataset(train_rows), batch_size=16, shuffle=True, drop_last=True)
    val_loader = DataLoader(TensorDataset(val_rows), batch_size=16)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(2):
            for (batch,) in train_loader:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            with torch.no_grad():
                for (batch,) in val_loader:
                    model(batch)
    return [finding for finding in watch.findings if finding.rule == "TCK714"]


TRAIN, VAL = drawn(90, 0), drawn(40, 1)
PICTURES, OTHERS = images(48, 0), images(32, 1)
GROWING = torch.linspace(1, 20, 130)[:, None] * (1 + 0.01 * torch.rand(130, 4))


@pytest.mark.parametrize(
    "pair",
    [
        (standard(TRAIN, TRAIN), standard(VAL, VAL)),
        (between(TRAIN, TRAIN), between(VAL, VAL)),
        (standard(TRAIN, TRAIN), VAL),
        (standard(PICTURES, PICTURES), OTHERS),
        (PICTURES, 255 * OTHERS),
        ((PICTURES - 0.5) / 0.5, OTHERS),
    ],
)
def test_another_normalisation_of_the_validation_is_found(pair: Pair) -> None:
    (finding,) = found(pair)
    assert finding.headline.startswith("what `val_loader` gives ")


@pytest.mark.parametrize(
    "pair",
    [
        (standard(TRAIN, TRAIN), standard(VAL, TRAIN)),
        (between(TRAIN, TRAIN), between(VAL, TRAIN)),
        (TRAIN, VAL),
        (standard(torch.cat([TRAIN, VAL]), torch.cat([TRAIN, VAL]))[:90], standard(VAL, torch.cat([TRAIN, VAL]))),
        (standard(torch.cat([TRAIN, VAL]), torch.cat([TRAIN, VAL]))[:90], standard(*[torch.cat([TRAIN, VAL])] * 2)),
        (standard(TRAIN, TRAIN), standard(TRAIN, TRAIN).clone()),
        (PICTURES, OTHERS),
        (PICTURES * 0.8 + 0.1, OTHERS),
        (torch.where(torch.rand(48, 1, 8, 8) < 0.2, 0.0, PICTURES), OTHERS),
        tuple(
            (each - each.mean((1, 2, 3), keepdim=True)) / each.std((1, 2, 3), keepdim=True)
            for each in (PICTURES, OTHERS)
        ),
        (between(GROWING, GROWING[:90])[:90], between(GROWING, GROWING[:90])[90:]),
        (torch.randint(17, (90, 4)) / 16, torch.randint(17, (40, 4)) / 16),
        (torch.eye(4).repeat(20, 1), torch.eye(4).repeat(10, 1)),
        (standard(TRAIN, TRAIN), VAL[:8]),
    ],
)
def test_data_that_is_normalised_alike_or_not_at_all_is_silent(pair: Pair) -> None:
    assert not found(pair)


def test_another_domain_beside_the_validation_is_silent() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    train, val, far = (DataLoader(TensorDataset(each), batch_size=16) for each in (PICTURES, OTHERS, 4 * OTHERS))
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for (batch,) in train:
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for loader in (val, far):
                for (batch,) in loader:
                    model(batch)
    assert "TCK714" not in [finding.rule for finding in watch.findings]


def test_the_line_of_the_normalisation_is_told() -> None:
    normalise: Callable[[Tensor], Tensor] = lambda rows: standard(rows, rows)  # noqa: E731 - as people write it
    train_rows, val_rows = normalise(TRAIN), normalise(VAL)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for (batch,) in DataLoader(TensorDataset(train_rows), batch_size=16):
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in DataLoader(TensorDataset(val_rows), batch_size=16):
                model(batch)
    (finding,) = [each for each in watch.findings if each.rule == "TCK714"]
    assert finding.site is not None
    assert finding.site.code == "normalise(VAL)"

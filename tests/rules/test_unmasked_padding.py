"""Padding that enters a mean or a loss, and the many ways in which it is kept out."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

import tensorcheck
from tensorcheck.findings import Finding

LENGTHS = (3, 9, 6, 4, 11, 7)
Forward = Callable[["Model", Tensor, Tensor], Tensor]


class Model(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.score = nn.Linear(8, 1)
        self.head = nn.Linear(8, 2)
        self.how = forward

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.how(self, ids, lengths))  # type: ignore[no-any-return]  # a module's call is untyped


def sentences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1, 30, (length,), generator=generator) for length in LENGTHS]


def found(forward: Forward) -> list[Finding]:
    model = Model(forward)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        ids, lengths = pad_sequence(sentences(), batch_first=True), torch.tensor(LENGTHS)
        model(ids, lengths).square().sum().backward()
        optimizer.step()
    return [finding for finding in watch.findings if finding.rule == "TCK715"]


def mean(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    return model.embedding(ids).mean(1)  # type: ignore[no-any-return]  # a module's call is untyped


def mean_of_states(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    states, _ = model.lstm(model.embedding(ids))
    return states.mean(dim=1)  # type: ignore[no-any-return]  # likewise


def pooled(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    states = model.embedding(ids).transpose(1, 2)
    return functional.adaptive_avg_pool1d(states, 1).squeeze(-1)


def mean_after_masked_attention(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    states = model.attention(model.embedding(ids), src_key_padding_mask=ids == 0)
    return states.mean(1)  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize("forward", [mean, mean_of_states, pooled])
def test_a_mean_over_padding_is_found(forward: Forward) -> None:
    (finding,) = found(forward)
    assert finding.headline.endswith("takes in 26 of 66 positions that are padding")


def masked(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    mask = (ids != 0).unsqueeze(-1)
    return (model.embedding(ids) * mask).sum(1) / mask.sum(1)  # type: ignore[no-any-return]  # likewise


def filled(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    return model.embedding(ids).masked_fill((ids == 0)[..., None], 0.0).mean(1)  # type: ignore[no-any-return]  # likewise


def by_length(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return (model.embedding(ids) * mask[..., None]).mean(1)  # type: ignore[no-any-return]  # likewise


def by_a_loop(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    mask = torch.zeros(ids.shape)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
    return (model.embedding(ids) * mask[..., None]).mean(1)  # type: ignore[no-any-return]  # likewise


def one_by_one(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    embedded = model.embedding(ids)
    return torch.stack([embedded[row, :length].mean(0) for row, length in enumerate(LENGTHS)])


def summed(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    return model.embedding(ids).sum(1) / lengths[:, None]  # type: ignore[no-any-return]  # likewise


def largest(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    return model.embedding(ids).amax(1)  # type: ignore[no-any-return]  # likewise


def packed(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    sequence = pack_padded_sequence(model.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(model.lstm(sequence)[0], batch_first=True)
    return states.sum(1) / lengths[:, None]


def attended(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    embedded = model.embedding(ids)
    weights = model.score(embedded).masked_fill((ids == 0)[..., None], -1e9).softmax(1)
    return (weights * embedded).sum(1)  # type: ignore[no-any-return]  # likewise


def of_the_features(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    embedded = model.embedding(ids)
    return (embedded - embedded.mean(-1, keepdim=True))[:, 0]  # type: ignore[no-any-return]  # likewise


def selected(model: Model, ids: Tensor, lengths: Tensor) -> Tensor:
    return model.embedding(ids)[ids != 0].mean(0, keepdim=True)  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize(
    "forward",
    [masked, filled, by_length, by_a_loop, one_by_one, summed, largest, packed, attended, of_the_features, selected],
)
def test_padding_that_is_kept_out_is_silent(forward: Forward) -> None:
    assert not found(forward)


def test_attention_that_is_masked_leaves_padding_for_the_mean() -> None:
    (finding,) = found(mean_after_masked_attention)
    assert finding.site is not None
    assert finding.site.code == "states.mean(1)"


def stack(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*samples, strict=True)
    return pad_sequence(list(inputs), batch_first=True), pad_sequence(list(targets), batch_first=True)


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    samples = [(torch.rand(length, 5), torch.rand(length, 1)) for length in LENGTHS]
    yield from DataLoader(samples, batch_size=6, collate_fn=stack)  # type: ignore[arg-type]  # a list will do


def regressed(loss: Callable[[Tensor, Tensor], Tensor]) -> list[Finding]:
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for inputs, targets in batches():
            loss(model(inputs), targets).backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule == "TCK715"]


@pytest.mark.parametrize("loss", [functional.mse_loss, lambda given, wanted: (given - wanted).square().mean()])
def test_a_loss_over_padding_is_found(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    (finding,) = regressed(loss)
    assert "26 of 66 positions that are padding" in finding.headline
    assert finding.related[0].site.code.startswith("pad_sequence(list(")


@pytest.mark.parametrize(
    "loss",
    [
        lambda given, wanted: (functional.mse_loss(given, wanted, reduction="none") * (wanted != 0)).mean(),
        lambda given, wanted: functional.mse_loss(given[wanted != 0], wanted[wanted != 0]),
        lambda given, wanted: functional.mse_loss(given * (wanted != 0), wanted),
        lambda given, wanted: ((given - wanted) * wanted.sign()).abs().sum() / 40,
    ],
)
def test_a_loss_that_is_masked_is_silent(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert not regressed(loss)


@pytest.mark.parametrize(
    "rows",
    [
        torch.rand(6, 11),
        torch.rand(6, 11).round(),
        torch.cat([torch.rand(6, 8), torch.zeros(6, 3)], 1),
        torch.rand(6, 11, 4).relu(),
        torch.nn.functional.one_hot(torch.arange(6), 11).float(),
    ],
)
def test_values_that_are_zero_without_padding_are_silent(rows: Tensor) -> None:
    model = nn.Linear(rows.shape[-1], rows.shape[-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for batch in DataLoader(rows, batch_size=6):  # type: ignore[arg-type]  # a tensor will do
            functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
    assert "TCK715" not in [finding.rule for finding in watch.findings]

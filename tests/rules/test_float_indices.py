"""Indices that are rounded by the dtype which they pass through; and whole numbers that are not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

WORDS = torch.arange(4001, 4081, 5)
Way = Callable[[Tensor], Tensor]


def found(way: Way, words: Tensor = WORDS) -> list[Finding]:
    model = nn.Sequential(nn.Embedding(5000, 4), nn.Flatten(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for (batch,) in DataLoader(TensorDataset(words), batch_size=8):
            optimizer.zero_grad()
            model(way(batch).clamp(0, 4999)).square().mean().backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule == "TCK117"]


MISTAKES: dict[str, Way] = {
    "half": lambda words: words.half().long(),
    "bfloat16": lambda words: words.to(torch.bfloat16).to(torch.int64),
    "beside real numbers": lambda words: torch.stack([words.half(), torch.rand(8).half()], 1)[:, 0].long(),
    "with a cast between": lambda words: words.half().reshape(-1).int(),
    "widened too late": lambda words: words.bfloat16().unsqueeze(0).squeeze(0).type(torch.int64),
}


@pytest.mark.parametrize("way", MISTAKES.values(), ids=MISTAKES)
def test_rounded_indices_are_found_where_they_became_real(way: Way) -> None:
    (finding,) = found(way)

    assert finding.site is not None
    assert any(word in finding.site.code for word in ("half", "bfloat16"))


def test_indices_that_come_as_float32_are_found_where_they_become_integers() -> None:
    (finding,) = found(lambda users: users[:8].long(), torch.arange(20_000_000, 20_000_032, 2).float())

    assert finding.site is not None
    assert finding.site.code == "users[:8].long()"


HEALTHY: dict[str, Way] = {
    "integers": lambda words: words,
    "float32": lambda words: words.float().long(),
    "small ones": lambda words: (words - 4000).div(5, rounding_mode="floor").bfloat16().long(),
    "bins": lambda words: (torch.rand(8).half() * 4000).long(),
    "bins of a method": lambda words: torch.rand(8).mul(2**31).long(),
    "random numbers": lambda words: torch.randint(0, 2**31, (8,)).float().mul(2).long(),
    "one that stands for none": lambda words: torch.full((8,), 60000.0).half().long(),
    "rounded results": lambda words: (torch.linspace(3000, 4000, 8).half() + 1).round().long(),
}


@pytest.mark.parametrize("way", HEALTHY.values(), ids=HEALTHY)
def test_numbers_that_are_told_apart_or_computed_are_silent(way: Way) -> None:
    assert not found(way)

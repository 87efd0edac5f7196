"""float32 within models of half precision: unasked, and asked for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    mask: Tensor

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.computed = forward
        self.scale = torch.full((4,), 0.5)
        self.register_buffer("mask", torch.ones(4))

    def forward(self, rows: Tensor) -> Tensor:
        return self.computed(self, rows)


def found(
    forward: Forward,
    dtype: torch.dtype = torch.bfloat16,
    *,
    head: torch.dtype | None = None,
    factor: Tensor | None = None,
) -> list[Finding]:
    model = Net(forward).to(dtype)
    if head is not None:
        model.head.to(head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            out = model(torch.rand(8, 4, dtype=dtype))
            (out if factor is None else out * factor).square().mean().backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule == "TCK108"]


def noisy(net: Net, rows: Tensor) -> Tensor:
    hidden = net.body(rows)
    noise = torch.randn(hidden.shape)
    return hidden + noise  # type: ignore[no-any-return]  # a layer's call


def scaled(net: Net, rows: Tensor) -> Tensor:
    return net.body(rows) * net.scale  # type: ignore[no-any-return]  # likewise


def cast_back(net: Net, rows: Tensor) -> Tensor:
    hidden = net.body(rows) + torch.zeros(4)
    return net.head(hidden.to(rows.dtype))  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize("forward", [noisy, scaled, cast_back])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_that_nobody_asked_for_is_found_in_a_half_model(forward: Forward, dtype: torch.dtype) -> None:
    (finding,) = found(forward, dtype)

    assert finding.site is not None
    assert finding.site.file.endswith("test_promoted_to_float32.py")


def test_the_line_that_made_it_is_the_place() -> None:
    (finding,) = found(noisy)
    assert finding.site is not None
    assert finding.site.code == "torch.randn(hidden.shape)"


HEALTHY: dict[str, Forward] = {
    "alike": lambda net, rows: net.body(rows) + torch.randn_like(rows),
    "a norm in float32": lambda net, rows: (
        net.body(rows) * (rows.float().square().mean(1, keepdim=True) + 1e-6).rsqrt()
    ),
    "a softmax in float32": lambda net, rows: net.head(net.body(rows).softmax(1, dtype=torch.float32).to(rows.dtype)),
    "a buffer": lambda net, rows: net.body(rows) * net.mask,
    "a number": lambda net, rows: net.body(rows) * torch.tensor(0.5),
    "named": lambda net, rows: net.body(rows) * torch.ones(4, dtype=torch.float32),
    "positions": lambda net, rows: net.body(rows) + torch.arange(4).float() / 4,
    "an output in float32": lambda net, rows: net.head(net.body(rows)).float(),
    "a mask of booleans": lambda net, rows: net.body(rows).masked_fill(torch.rand(8, 4) > 0.5, 0.0),
    "multiplied by booleans": lambda net, rows: net.body(rows) * (torch.rand(8, 4) > 0.5),
}


@pytest.mark.parametrize("forward", HEALTHY.values(), ids=HEALTHY)
def test_what_is_asked_for_is_silent(forward: Forward) -> None:
    assert not found(forward)


def test_a_model_of_float32_is_silent() -> None:
    assert not found(noisy, torch.float32)


def test_a_head_kept_in_float32_is_silent() -> None:
    assert not found(lambda net, rows: net.head((net.body(rows) + torch.zeros(4)).float()), head=torch.float32)


def test_a_loss_in_float32_is_silent() -> None:
    assert not found(lambda net, rows: net.body(rows), factor=torch.rand(8, 4))


def test_autocast_over_weights_of_float32_is_silent() -> None:
    def forward(net: Net, rows: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net.head(net.body(rows) + torch.randn(rows.shape))  # type: ignore[no-any-return]  # likewise

    assert not found(forward, torch.float32)

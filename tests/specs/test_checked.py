"""`tensorcheck.checked`: annotations that hold in each call."""

import asyncio
from typing import Annotated

import pytest
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

import tensorcheck
from tensorcheck import SpecMismatchError, TensorSpec, checked

Batch = Annotated[Tensor, "batch 4"]


def test_a_call_that_fits_returns_what_the_function_returns() -> None:
    @checked
    def doubled(x: Batch) -> Batch:
        return 2 * x

    assert torch.equal(doubled(torch.ones(3, 4)), torch.full((3, 4), 2.0))


def test_an_argument_that_does_not_fit_is_named() -> None:
    @checked
    def doubled(x: Batch) -> Tensor:
        return 2 * x

    with pytest.raises(SpecMismatchError, match=r"argument `x` is float32\[3, 5\] cpu\n  expected: \[batch 4\]"):
        doubled(torch.ones(3, 5))


def test_names_hold_for_arguments_and_result() -> None:
    @checked
    def halved(x: Annotated[Tensor, "batch"]) -> Annotated[Tensor, "batch"]:
        return x[:1]

    with pytest.raises(SpecMismatchError, match="its result is float32"):
        halved(torch.ones(3))


def test_names_of_one_call_are_forgotten_in_the_next() -> None:
    @checked
    def same(x: Batch) -> Batch:
        return x

    same(torch.ones(3, 4))
    same(torch.ones(5, 4))


def test_annotations_of_jaxtyping_are_taken() -> None:
    @checked
    def chosen(
        x: Float[Tensor, "batch width"], index: Int[Tensor, "batch"], any_kind: Shaped[Tensor, "..."]
    ) -> Float[Tensor, "batch"]:
        return x.gather(1, index[:, None])[:, 0]

    chosen(torch.ones(3, 4), torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(SpecMismatchError, match=r"`index` is float32\[3\] cpu\n  expected: int\[batch\]"):
        chosen(torch.ones(3, 4), torch.zeros(3), torch.zeros(1))


def test_all_methods_of_a_class_are_checked() -> None:
    @checked
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Batch) -> Annotated[Tensor, "batch 2"]:
            logits: Tensor = self.linear(x)
            return logits

        @staticmethod
        def scaled(x: Annotated[Tensor, "1"]) -> Tensor:
            return x

    head = Head()
    assert head(torch.ones(3, 4)).shape == (3, 2)
    assert list(head.state_dict()) == ["linear.weight", "linear.bias"]
    with pytest.raises(SpecMismatchError, match=r"Head\.forward"):
        head(torch.ones(3, 5))
    with pytest.raises(SpecMismatchError, match="scaled"):
        Head.scaled(torch.ones(2))


def test_none_and_unions_are_taken() -> None:
    @checked
    def masked(x: Batch, mask: Annotated[Tensor, "batch"] | None = None, other: Batch | float = 1.0) -> Tensor:
        return x if mask is None else x * mask[:, None]

    masked(torch.ones(3, 4))
    masked(torch.ones(3, 4), torch.ones(3), torch.ones(3, 4))
    with pytest.raises(SpecMismatchError, match="`mask`"):
        masked(torch.ones(3, 4), torch.ones(2))


def test_parts_of_tuples_and_lists_are_named_by_their_place() -> None:
    @checked
    def both(
        pair: tuple[Annotated[Tensor, "n"], Annotated[Tensor, "n"]], several: list[Annotated[Tensor, "n"]]
    ) -> None:
        return None

    both((torch.ones(2), torch.ones(2)), [torch.ones(2)])
    with pytest.raises(SpecMismatchError, match=r"`several`\[1\] is float32\[3\]"):
        both((torch.ones(2), torch.ones(2)), [torch.ones(2), torch.ones(3)])


def test_each_of_several_arguments_is_checked() -> None:
    @checked
    def joined(*parts: Annotated[Tensor, "n"], **named: Annotated[Tensor, "n"]) -> Tensor:
        return torch.cat([*parts, *named.values()])

    joined(torch.ones(2), torch.ones(2), last=torch.ones(2))
    with pytest.raises(SpecMismatchError, match="`named`"):
        joined(torch.ones(2), last=torch.ones(3))


def test_a_wrong_call_raises_as_without_us() -> None:
    @checked
    def doubled(x: Batch) -> Tensor:
        return 2 * x

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        doubled()  # type: ignore[call-arg]  # that is the point


def test_a_coroutine_is_checked_when_it_is_awaited() -> None:
    @checked
    async def later(x: Batch) -> Annotated[Tensor, "batch 5"]:
        return x

    with pytest.raises(SpecMismatchError, match="its result"):
        asyncio.run(later(torch.ones(3, 4)))


def test_a_spec_is_an_annotation() -> None:
    spec = TensorSpec("batch", dtype=torch.int64)

    @checked
    def labels(y: Annotated[Tensor, spec]) -> None:
        return None

    with pytest.raises(SpecMismatchError, match=r"expected: int64\[batch\]"):
        labels(torch.ones(3))


def test_a_checked_module_compiles_without_a_break() -> None:
    @checked
    class Doubled(nn.Module):
        def forward(self, x: Batch) -> Batch:
            return 2 * x

    tensorcheck.testing.assert_compiles(Doubled(), torch.ones(3, 4))

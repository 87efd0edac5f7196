"""Law 2: no model is odd enough to be broken by being watched."""

import functools
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset, IterableDataset

import tensorcheck

Pair = namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - the kind that collate functions return


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.LazyLinear(2)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.head(inputs)
        return output


class KeywordsOnly(nn.Module):
    def forward(self, *, inputs: Tensor, scale: float = 2.0) -> dict[str, Any]:
        return {"logits": inputs * scale, "nested": [Pair(inputs, None), {"deep": inputs}]}


@dataclass
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


class ReturnsDataclass(nn.Linear):
    def forward(self, input: Tensor) -> Output:  # type: ignore[override]  # noqa: A002 - the base's name
        return Output(super().forward(input))


class Recursive(nn.Linear):
    def forward(self, input: Tensor, depth: int = 3) -> Tensor:  # noqa: A002 - likewise
        inner: Tensor = self(input, depth - 1) if depth else super().forward(input)
        return inner


class Partial(nn.Module):
    def compute(self, inputs: Tensor, *, scale: float) -> Tensor:
        return inputs * scale

    forward = functools.partialmethod(compute, scale=3.0)


class HidesItsParameters(nn.Linear):
    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        msg = "not for you"
        raise ValueError(msg)


class NoSuper(nn.Module):
    def __getattr__(self, name: str) -> Any:
        if name == "late":
            return torch.ones(1)
        return super().__getattr__(name)

    def forward(self, inputs: Tensor) -> Tensor:
        product: Tensor = inputs * self.late
        return product


X = torch.ones(2, 4)
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any]]] = {
    "lazy": (Lazy, lambda model: model(X)),
    "keywords only": (KeywordsOnly, lambda model: model(inputs=X)["logits"]),
    "dataclass": (lambda: ReturnsDataclass(4, 1), lambda model: model(X).logits),
    "recursive": (lambda: Recursive(4, 4), lambda model: model(X)),
    "partial method": (Partial, lambda model: model(X)),
    "hides its parameters": (lambda: HidesItsParameters(4, 1), lambda model: model(X)),
    "own getattr": (NoSuper, lambda model: model(X)),
    "sparse": (nn.Identity, lambda model: model(X.to_sparse())),
    "nested": (nn.Identity, lambda model: model(torch.nested.nested_tensor([X, X[:1]]))),
    "quantized": (nn.Identity, lambda model: model(torch.quantize_per_tensor(X, 0.1, 0, torch.quint8))),
    "meta": (lambda: nn.Linear(4, 1, device="meta"), lambda model: model(X.to("meta"))),
    "no dims": (nn.Identity, lambda model: model(torch.tensor(1.0))),
    "complex": (lambda: nn.Linear(4, 1, dtype=torch.complex64), lambda model: model(X.to(torch.complex64))),
    "generator": (nn.Identity, lambda model: next(model(part for part in X))),
    "vmap": (lambda: nn.Linear(4, 1), lambda model: torch.vmap(model)(X)),
    "functional call": (
        lambda: nn.Linear(4, 1),
        lambda model: torch.func.functional_call(model, dict(model.named_parameters()), X),
    ),
    "data parallel": (lambda: nn.DataParallel(nn.Linear(4, 1)), lambda model: model(X)),
    "tensor's own modules": (lambda: nn.LSTM(4, 3), lambda model: model(X)[0]),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of prototypes and lazy modules
@pytest.mark.parametrize("case", CASES)
def test_an_odd_model_works_as_before_and_no_probe_fails(case: str) -> None:
    make, call = CASES[case]
    torch.manual_seed(0)
    bare = call(make())
    torch.manual_seed(0)
    model = make()
    with tensorcheck.watch(model) as watch:
        watched = call(model)
    assert repr(bare) == repr(watched)
    assert watch.findings == ()


def test_a_model_whose_parts_cannot_be_listed_is_named_in_the_coverage() -> None:
    with tensorcheck.watch(HidesItsParameters(4, 1)) as watch:
        watch(X)
    (skipped,) = watch.report.record.coverage.skipped
    assert (skipped.what, skipped.why) == ("HidesItsParameters", "its parts can't be listed: ValueError: not for you")


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(X)


class Strings(Dataset[dict[object, Any]]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[object, Any]:
        return {"text": "abc", "size": index, "image": X, 7: [X, {"mask": X}]}


@pytest.mark.parametrize("dataset", [Stream(), Strings(), list(X), [{"a": 1.0}], X])
def test_odd_batches(dataset: Any) -> None:
    loader = DataLoader(dataset, batch_size=2)
    with tensorcheck.watch(loader) as watch:
        assert list(loader)
    assert watch.findings == ()


def test_a_users_mode_and_a_default_device_stay_as_they_are() -> None:
    class Mode(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    model = nn.Linear(4, 1)
    with Mode(), tensorcheck.watch(model) as watch, torch.device("cpu"):
        model(X)
    assert watch.findings == ()
    assert torch._C._len_torch_function_stack() == 0

"""A batch of specs: what stands for the tensors that there are not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tensorcheck import TensorSpec, preflight
from tensorcheck.experiment.specified import without_values


def test_a_step_passes_with_specs_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    batch = (TensorSpec("batch 1 h=28 w=28"), TensorSpec("batch", dtype=torch.int64))
    learned = preflight(model, batch, nn.CrossEntropyLoss()).record.preflight
    assert learned is not None
    assert learned.passed == ("forward", "loss", "backward")


def test_what_fails_is_explained() -> None:
    report = preflight(nn.Linear(4, 2), TensorSpec("batch 5"))
    assert [found.rule for found in report.findings] == ["TCK201"]


def test_a_dictionary_of_specs_is_taken_beside_tensors() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.layer(x)
            return logits * scale

    batch = ({"x": TensorSpec("batch 4"), "scale": torch.ones(2)}, TensorSpec("batch 2"))
    assert preflight(Both(), batch, functional.mse_loss).findings == ()


@pytest.mark.parametrize(
    ("spec", "shape", "dtype"),
    [
        (TensorSpec("batch 3"), (2, 3), torch.float32),
        (TensorSpec("batch ... 2*batch", dtype="int"), (2, 4), torch.int64),
        (TensorSpec("", dtype=torch.float16), (), torch.float16),
        (TensorSpec("rows=5", dtype=["bool", "int8"]), (5,), torch.bool),
    ],
)
def test_a_spec_is_a_tensor_on_the_meta_device(spec: TensorSpec, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    made = without_values(spec)
    assert (tuple(made.shape), made.dtype, made.device.type) == (shape, dtype, "meta")


@pytest.mark.parametrize(("text", "name"), [("batch seq", "seq"), ("batch _", "_"), ("batch h/2", "h/2")])
def test_a_name_without_a_size_is_refused(text: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' of .* has no size"):
        preflight(nn.Linear(4, 2), TensorSpec(text))


def test_a_gradient_that_is_wanted_is_tracked() -> None:
    assert without_values(TensorSpec("2", requires_grad=True)).requires_grad

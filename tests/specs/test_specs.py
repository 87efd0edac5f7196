"""TensorSpec: what it takes, how it prints, and that it reads what it printed."""

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tensorcheck
from tensorcheck.specs.dtypes import KINDS
from tensorcheck.specs.shape_strings import SpecError
from tensorcheck.specs.spec import TensorSpec

NAMES = ("batch", "h", "w", "seq")
WORDS = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(NAMES),
    st.sampled_from(["_", "#batch", "#3", "h/2", "rows=4", "_rows", "seq-1", "max(h,w)"]),
)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    words = draw(st.lists(WORDS, max_size=4))
    if draw(st.booleans()):
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(["...", "*rest", "*#rest"])))
    dtype = draw(st.one_of(st.none(), st.lists(st.sampled_from([*DTYPES, *KINDS]), min_size=1, max_size=3)))
    device = draw(st.sampled_from([None, "cpu", "cuda", "cuda:1"]))
    return TensorSpec(
        " ".join(words), dtype=dtype, device=device, requires_grad=draw(st.sampled_from([None, True, False]))
    )


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    tensor = torch.zeros(draw(st.lists(st.integers(0, 4), max_size=4)), dtype=dtype)
    return tensor.requires_grad_() if dtype.is_floating_point and draw(st.booleans()) else tensor


@given(specs())
def test_a_spec_reads_what_it_prints(spec: TensorSpec) -> None:
    assert TensorSpec.read(str(spec)) == spec


@given(specs())
def test_a_repr_can_be_pasted(spec: TensorSpec) -> None:
    assert eval(repr(spec), {"TensorSpec": TensorSpec}) == spec  # noqa: S307 - our own


@given(specs())
def test_a_spec_is_pickled(spec: TensorSpec) -> None:
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - our own


@given(tensors())
def test_a_spec_of_a_tensor_takes_it(tensor: torch.Tensor) -> None:
    assert TensorSpec.of(tensor).accepts(tensor)
    assert TensorSpec.of(tensor).mismatches(tensor) == ()


@given(tensors(), st.data())
def test_a_tensor_of_another_size_dtype_or_gradient_is_refused(tensor: torch.Tensor, data: st.DataObject) -> None:
    spec = TensorSpec.of(tensor)
    others = [
        torch.zeros(tensor.shape, dtype=next(dtype for dtype in DTYPES if dtype is not tensor.dtype)),
        tensor.unsqueeze(0),
        tensor.detach().to("meta").requires_grad_(tensor.requires_grad),
    ]
    if tensor.is_floating_point():
        others.append(tensor.detach().requires_grad_(not tensor.requires_grad))
    if tensor.dim():
        dim = data.draw(st.integers(0, tensor.dim() - 1))
        sizes = [size + (place == dim) for place, size in enumerate(tensor.shape)]
        others.append(torch.zeros(sizes, dtype=tensor.dtype, requires_grad=tensor.requires_grad))
    for other in others:
        assert not spec.accepts(other)
        assert spec.mismatches(other)


@given(specs(), tensors())
def test_what_is_accepted_has_no_mismatch_and_the_other_way_round(spec: TensorSpec, tensor: torch.Tensor) -> None:
    assert spec.accepts(tensor) == (not spec.mismatches(tensor))


@pytest.mark.parametrize(
    ("kind", "dtype", "is_taken"),
    [
        ("float", torch.bfloat16, True),
        ("float", torch.int32, False),
        ("int", torch.int8, True),
        ("int", torch.uint8, False),
        ("integer", torch.uint8, True),
        ("integer", torch.bool, False),
        ("inexact", torch.complex64, True),
        ("num", torch.bool, False),
        ("real", torch.complex64, False),
        ("complex", torch.complex128, True),
        ("float64", torch.float32, False),
    ],
)
def test_a_kind_takes_its_dtypes(kind: str, dtype: torch.dtype, is_taken: bool) -> None:  # noqa: FBT001 - a column
    assert TensorSpec("...", dtype=kind).accepts(torch.zeros(2, dtype=dtype)) is is_taken


def test_a_device_without_an_index_is_any_of_its_type() -> None:
    with tensorcheck.simulate_device("cuda", count=2):
        second = torch.zeros(2, device="cuda:1")
        assert TensorSpec("2", device="cuda").accepts(second)
        assert not TensorSpec("2", device="cuda:0").accepts(second)


@pytest.mark.parametrize("wrong", ["cpu:", "CPU", "gpu 0", ""])
def test_a_device_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(SpecError, match="device"):
        TensorSpec("2", device=wrong)


def test_a_dtype_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'float32'"):
        TensorSpec("2", dtype="flaot32")

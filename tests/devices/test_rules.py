"""What is known of PyTorch's operations, against PyTorch's own description of them."""

from functools import cache
from pathlib import Path

import pytest
import torch

from tensorcheck.devices.rules import _SPECIAL, ELEMENTWISE, STRUCTURED

torchgen = pytest.importorskip("torchgen")
WHOLE_LISTS = ("_foreach_", "_fused_", "_scaled_dot_product_", "_efficient_attention_", "_flash_attention_")
OF_CUDA_ALONE = {"_cudnn_ctc_loss", "_cudnn_rnn", "_use_cudnn_ctc_loss", "_use_miopen_ctc_loss", "miopen_ctc_loss"}
NESTED = {"_nested_from_padded", "_nested_view_from_buffer", "_validate_compressed_sparse_indices"}


@cache
def _cuda_kernels() -> tuple[frozenset[str], frozenset[str]]:
    """The operations of several tensors whose CUDA kernels have no check in front, and those with a structured one."""
    from torchgen.gen import parse_native_yaml  # noqa: PLC0415 - it may not be there
    from torchgen.model import DeviceCheckType, DispatchKey  # noqa: PLC0415 - likewise

    folder = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native"
    parsed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    index = parsed.backend_indices[DispatchKey.CUDA]
    unchecked, structured = set(), set()
    for function in parsed.native_functions:
        tensors = [argument for argument in function.func.arguments.flat_all if argument.type.is_tensor_like()]
        has_several = len(tensors) > 1 or any(argument.type.is_list_like() for argument in tensors)
        is_structured = bool(function.structured or function.structured_delegate)
        if not has_several or function.func.kind().name == "out" or not (index.has_kernel(function) or is_structured):
            continue
        name = function.func.name.name.base
        if function.device_check is DeviceCheckType.NoCheck:
            unchecked.add(f"__{name}__" if function.func.name.name.dunder_method else name)
        elif is_structured:
            structured.add(name)
    return frozenset(unchecked), frozenset(structured)


def test_what_has_no_check_in_front_of_its_kernel_has_a_rule_of_its_own() -> None:
    unchecked, _ = _cuda_kernels()
    known = ELEMENTWISE | set(_SPECIAL) | OF_CUDA_ALONE | NESTED
    left = {name for name in unchecked if not name.startswith(WHOLE_LISTS)} - known

    assert left <= {"__i" + name.strip("_") + "__" for name in ("lshift", "rshift")} | {"__lshift__", "__rshift__"}


def test_the_names_of_structured_kernels_are_those_that_torchgen_gives() -> None:
    _, structured = _cuda_kernels()

    assert structured - set(_SPECIAL) <= STRUCTURED
    assert structured >= STRUCTURED


def test_every_name_is_an_operation() -> None:
    assert [name for name in ELEMENTWISE | STRUCTURED if not hasattr(torch.ops.aten, name)] == []

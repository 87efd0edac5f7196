"""What an accelerator accepts: which operands of an operation may be where, and where its result is.

All are pure functions of an operation's name and of where its operands are. Taken from PyTorch's own sources: whether
an operation has a check in front of its kernel, and under which name, from `native_functions.yaml` and the code
generator `torchgen`; what the others accept from `TensorIterator.cpp`, `TensorAdvancedIndexing.cpp`, `Indexing.cu`,
`RNN.cpp`, `Convolution.cpp` and `ForeachOpsKernels.cpp`. A test compares the first with torchgen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tensorcheck.devices.words import argument_elsewhere, two_devices, type_name

Place = torch.device


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that an operation is given."""

    name: str
    place: Place
    dim: int
    dtype: str = "float32"
    is_written: bool = False

    @property
    def is_number_on_cpu(self) -> bool:
        """Whether it is what accelerators take from the CPU."""
        return self.dim == 0 and self.place.type == "cpu"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of PyTorch, as its schema has it."""

    name: str
    """Without its overload, and without the `_` of one that writes in place."""
    overload: str
    is_in_place: bool


def place_of_result(operation: Operation, operands: Sequence[Operand]) -> Place:
    """The device of what an operation gives for operands on several devices; what CUDA raises is raised here."""
    special = _SPECIAL.get(operation.name)
    if special is not None:
        return special(operation, operands)
    if operation.name in ELEMENTWISE:
        return elementwise(operation, operands)
    return checked(method_name(operation), operands)


def checked(method: str, operands: Sequence[Operand]) -> Place:
    """All on one device, which is that of the first."""
    common = operands[0].place
    for operand in operands:
        if operand.place != common:
            raise RuntimeError(argument_elsewhere(operand.name, operand.place, common, method))
    return common


def method_name(operation: Operation) -> str:
    """The name of the function that PyTorch generates around a CUDA kernel.

    >>> method_name(Operation("addmm", "", False)), method_name(Operation("index_select", "", False))
    ('wrapper_CUDA_addmm', 'wrapper_CUDA__index_select')
    """
    name = operation.name + ("_" if operation.is_in_place else "")
    overload = "" if operation.name in STRUCTURED else f"{operation.overload}_"
    return f"wrapper_CUDA_{overload}{name}"


def elementwise(operation: Operation, operands: Sequence[Operand]) -> Place:
    """All on one device, but for one number from the CPU that is not written to."""
    common = next(operand.place for operand in operands if operand.place.type != "cpu")
    numbers = 0
    written_first = sorted(operands, key=lambda operand: not operand.is_written)
    for operand in written_first:
        takes_number = operation.name not in NO_NUMBERS and not operand.is_written
        if takes_number and operand.is_number_on_cpu:
            numbers += 1
        elif operand.place != common:
            raise RuntimeError(two_devices(common, operand.place))
    if numbers > 1:
        msg = "Trying to pass too many CPU scalars to non-CPU kernel!"
        raise RuntimeError(msg)
    return common


def two_or_raise_each(operation: Operation, lists: Sequence[Sequence[Place]]) -> None:
    """What `torch._foreach_…` asks: that the tensors with the same number in each list are on one device."""
    if operation.name == "_foreach_copy":
        return
    for row in zip(*lists, strict=False):
        for place in row:
            if place != row[0]:
                raise RuntimeError(two_devices(*_accelerator_first(row[0], place)))


def _anywhere(_: Operation, operands: Sequence[Operand]) -> Place:
    """A copy: the result is where its first operand is."""
    return operands[0].place


def _index(_: Operation, operands: Sequence[Operand]) -> Place:
    """Indices may be on the CPU, or with what they index."""
    own = operands[0].place
    for operand in operands:
        if operand.name == "indices" and operand.place not in (own, torch.device("cpu")):
            msg = f"indices should be either on cpu or on the same device as the indexed tensor ({own})"
            raise RuntimeError(msg)
    return own


def _index_put(operation: Operation, operands: Sequence[Operand]) -> Place:
    """As reading by an index, and a value that is a number may be anywhere."""
    own = _index(operation, operands)
    for operand in operands:
        if operand.name == "values" and operand.place != own and operand.dim:
            raise RuntimeError(two_devices(*_accelerator_first(own, operand.place)))
    return own


def _index_fill(_: Operation, operands: Sequence[Operand]) -> Place:
    """A value is a number, and may be anywhere."""
    own = operands[0].place
    for operand in operands:
        if operand.name == "index" and operand.place != own:
            raise RuntimeError(two_devices(*_accelerator_first(own, operand.place)))
    return own


def _masked_fill(_: Operation, operands: Sequence[Operand]) -> Place:
    """A value may be on the CPU, the mask may not."""
    own, mask = operands[0], next(operand for operand in operands if operand.name == "mask")
    if any(operand.name == "value" and operand.place.type != "cpu" for operand in operands) and own.place.type == "cpu":
        msg = "masked_fill_: Expected inputs to be on same device"
        raise RuntimeError(msg)
    if mask.place != own.place:
        msg = f"expected self and mask to be on the same device, but got mask on {mask.place} and self on {own.place}"
        raise RuntimeError(msg)
    return own.place


def _where(operation: Operation, operands: Sequence[Operand]) -> Place:
    """Numbers from the CPU are taken along, on both sides and as the condition."""
    common = next(operand.place for operand in operands if operand.place.type != "cpu")
    for operand in operands:
        if operand.place != common and not operand.is_number_on_cpu:
            raise RuntimeError(two_devices(common, operand.place))
    return common


def _embedding(_: Operation, operands: Sequence[Operand]) -> Place:
    names = {"weight": "self", "indices": "index"}
    return checked("wrapper_CUDA__index_select", [_renamed(operand, names) for operand in operands])


def _stack(_: Operation, operands: Sequence[Operand]) -> Place:
    return checked("wrapper_CUDA_cat", operands)


def _matrix_times_vector(_: Operation, operands: Sequence[Operand]) -> Place:
    """The result is made where the vector is, and the matrix is compared with it."""
    matrix, vector = operands
    return checked("wrapper_CUDA_addmv_", [vector, _renamed(matrix, {"self": "mat"}), vector])


def _batch_norm(_: Operation, operands: Sequence[Operand]) -> Place:
    kernel = "cudnn_batch_norm" if operands[0].place.type == "cuda" else "native_batch_norm"
    return checked(f"wrapper_CUDA__{kernel}", operands)


def _convolution(_: Operation, operands: Sequence[Operand]) -> Place:
    """Compared by the old names of their types, as `Convolution.cpp` does."""
    given, *others = operands
    for operand in others:
        if operand.place.type != given.place.type:
            both = [type_name(f"torch.{_OLD_NAMES[each.dtype]}", each.place.type) for each in (given, operand)]
            mkldnn = (
                " or input should be a MKLDNN tensor and weight is a dense tensor"
                if given.place.type == "cpu" and operand.name == "weight"
                else ""
            )
            msg = f"Input type ({both[0]}) and {operand.name} type ({both[1]}) should be the same{mkldnn}"
            raise RuntimeError(msg.replace("torch.cpu.", "torch."))
    return checked("wrapper_CUDA__cudnn_convolution", operands)


_OLD_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "int16": "ShortTensor",
    "int8": "CharTensor",
    "uint8": "ByteTensor",
    "bool": "BoolTensor",
    "complex64": "ComplexFloatTensor",
    "complex128": "ComplexDoubleTensor",
}


def _attention(_: Operation, operands: Sequence[Operand]) -> Place:
    query, key, value, *others = operands
    same_device(query.place, key.place, value.place)
    return checked("wrapper_CUDA___scaled_dot_product_efficient_attention", [query, *others])


def same_device(query: Place, key: Place, value: Place) -> None:
    """What attention asks of its three operands."""
    if not query == key == value:
        msg = (
            "Expected query, key, and value to have the same device type, but got "
            f"query.device: {query} key.device: {key} and value.device: {value} instead."
        )
        raise RuntimeError(msg)


def _recurrent(_: Operation, operands: Sequence[Operand]) -> Place:
    given, *others = operands
    kinds = {"hx": "hidden", "hx_": "hidden", "cx_": "hidden"}
    recurrent(given.place, [(kinds.get(operand.name, "parameter"), operand.place) for operand in others])
    return given.place


def recurrent(place: Place, others: Sequence[tuple[str, Place]]) -> None:
    """What `nn.RNN`, `nn.GRU` and `nn.LSTM` ask of their hidden state and their parameters, the former first."""
    for kind, other in sorted(others, key=lambda each: each[0] != "hidden"):
        if other != place:
            msg = (
                f"Input and {kind} tensors are not at the same device, found input tensor at {place} "
                f"and {kind} tensor at {other}"
            )
            raise RuntimeError(msg)


def _packing(_: Operation, operands: Sequence[Operand]) -> Place:
    """The lengths stay on the CPU."""
    given, lengths = operands
    if lengths.place.type != "cpu":
        msg = (
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim}D {lengths.place} "
            f"{_OLD_NAMES[lengths.dtype].removesuffix('Tensor')} tensor"
        )
        raise RuntimeError(msg)
    return given.place


def _grid_sampler(_: Operation, operands: Sequence[Operand]) -> Place:
    given, grid = operands
    msg = (
        "grid_sampler(): expected input and grid to be on same device, "
        f"but input is on {given.place} and grid is on {grid.place}"
    )
    raise RuntimeError(msg)


def _equal(_: Operation, operands: Sequence[Operand]) -> Place:
    one, other = operands
    if "cpu" in (one.place.type, other.place.type):
        msg = f"Cannot compare two tensors on different devices. Got: {one.place} and {other.place}"
        raise RuntimeError(msg)
    return checked("wrapper_CUDA__equal", operands)


def _set(_: Operation, operands: Sequence[Operand]) -> Place:
    one, other = operands[0].place, operands[-1].place
    msg = (
        f'Attempted to set the storage of a tensor on device "{one}" to a storage on different device "{other}".  '
        "This is no longer allowed; the devices must match."
    )
    raise RuntimeError(msg)


def _renamed(operand: Operand, names: dict[str, str]) -> Operand:
    return Operand(names.get(operand.name, operand.name), operand.place, operand.dim, operand.dtype)


def _accelerator_first(one: Place, other: Place) -> tuple[Place, Place]:
    return (one, other) if one.type != "cpu" else (other, one)


_SPECIAL: dict[str, Callable[[Operation, Sequence[Operand]], Place]] = {
    **dict.fromkeys(
        (
            "copy",
            "_copy_from",
            "_to_copy",
            "resize_as",
            "resize_as_sparse",
            "is_same_size",
            "is_set_to",
            "fill",
            "linspace",
            "logspace",
            "select_scatter",
            "slice_scatter",
            "diagonal_scatter",
            "as_strided_scatter",
            "_has_same_storage_numel",
            "_reshape_from_tensor",
            "_foreach_copy",
            "set_data",
            "copy_sparse_to_sparse",
        ),
        _anywhere,
    ),
    **dict.fromkeys(("index", "_unsafe_index"), _index),
    **dict.fromkeys(("index_put", "_index_put_impl", "_unsafe_index_put"), _index_put),
    "index_fill": _index_fill,
    "masked_fill": _masked_fill,
    "where": _where,
    "embedding": _embedding,
    **dict.fromkeys(("stack", "_stack"), _stack),
    "mv": _matrix_times_vector,
    **dict.fromkeys(
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_batch_norm_no_update",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_with_update",
        ),
        _batch_norm,
    ),
    **dict.fromkeys(("convolution", "_convolution", "mkldnn_convolution"), _convolution),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_attention_math",
            "_scaled_dot_product_flash_attention",
        ),
        _attention,
    ),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), _grid_sampler),
    "mkldnn_rnn_layer": _recurrent,
    "_pack_padded_sequence": _packing,
    "equal": _equal,
    "set": _set,
}

ALWAYS_JUDGED = frozenset({"_pack_padded_sequence"})
"""What is wrong where all operands are on one device, too."""

NO_NUMBERS = frozenset({"binary_cross_entropy", "lerp", "glu"})
"""Of those below, what takes no number from the CPU."""

ELEMENTWISE = frozenset(
    """
    __lshift__ __rshift__ __ilshift__ __irshift__ add addcdiv addcmul atan2 binary_cross_entropy bitwise_and
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign div eq floor_divide fmax fmin fmod ge gt
    heaviside hypot le lerp lt maximum minimum mse_loss mul ne pow remainder rsub smooth_l1_loss
    special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
    special_chebyshev_polynomial_w special_hermite_polynomial_h special_hermite_polynomial_he
    special_laguerre_polynomial_l special_legendre_polynomial_p special_shifted_chebyshev_polynomial_t
    special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
    special_shifted_chebyshev_polynomial_w special_xlog1py special_zeta sub where xlogy bernoulli binomial
    logical_and logical_or logical_xor ldexp dist binary_cross_entropy_with_logits soft_margin_loss
    soft_margin_loss_backward huber_loss_backward smooth_l1_loss_backward complex polar allclose _add_relu
    """.split()  # noqa: SIM905 - a hundred words
)
"""What works element by element: no check is in front of its CUDA kernel, `TensorIterator` has its own."""

STRUCTURED = frozenset(
    """
    _addmm_activation _convert_indices_from_csr_to_coo _linalg_solve_ex _log_softmax_backward_data
    _softmax_backward_data adaptive_max_pool2d_backward adaptive_max_pool3d_backward addmm addmv avg_pool2d_backward
    avg_pool3d_backward baddbmm bmm cat clamp clamp_max clamp_min elu_backward fractional_max_pool2d
    fractional_max_pool2d_backward fractional_max_pool3d gather gcd gelu_backward hardshrink_backward
    hardsigmoid_backward igamma igammac index_add index_copy index_reduce isin lcm leaky_relu_backward linalg_cross
    linalg_ldl_solve linalg_lu_solve logaddexp logaddexp2 logit_backward lu_unpack max_pool2d_with_indices_backward mm
    nextafter nll_loss_backward nll_loss_forward reflection_pad1d_backward reflection_pad3d_backward
    replication_pad1d_backward scatter scatter_add scatter_reduce sigmoid_backward silu_backward
    slow_conv_transpose2d softplus_backward softshrink_backward tanh_backward threshold_backward triangular_solve
    """.split()  # noqa: SIM905 - likewise
)
"""Of what has a check in front of its kernel, that whose name there has no overload."""

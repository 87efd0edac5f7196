"""`autocast` of a simulated device, with the list of operations that CUDA has.

PyTorch's own kernels for it look at the device that a tensor really has, and do nothing. So ours stand under a key of
the dispatcher that nobody uses otherwise, above autograd as autocast is, and this key is on where autocast is. The
lists are those of `ATen/autocast_mode.h`, which all accelerators share.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey, DispatchKeySet
from torch._ops import OpOverload

from tensorcheck.devices.places import place_of
from tensorcheck.devices.scope import HERE

_KEY = "AutocastPrivateUse1"
_KEYS = DispatchKeySet(getattr(DispatchKey, _KEY))


class Autocasting:
    """Our kernels, which are the process's, and whether the running thread uses them."""

    def __init__(self) -> None:
        self._library: torch.library.Library | None = None
        self._fallback: torch.library.Library | None = None
        self._lock = threading.Lock()
        self._copies: _Copies = _Copies()

    def follow(self) -> None:
        """Use them where the autocast of a simulated device is on, and only there."""
        is_on = any(torch.is_autocast_enabled(each.kind) for each in HERE.simulations)
        if is_on and self._library is None:
            self._register()
        if self._library is not None:
            torch._C._dispatch_tls_set_dispatch_key_included(_KEY, is_on)
            torch._C._dispatch_tls_set_dispatch_key_excluded(_KEY, not is_on)
        if not is_on:
            self._copies.clear()

    def leave(self) -> None:
        """Use them no more in the running thread."""
        if self._library is not None:
            torch._C._dispatch_tls_set_dispatch_key_included(_KEY, False)
            torch._C._dispatch_tls_set_dispatch_key_excluded(_KEY, True)
        self._copies.clear()

    def undo(self) -> None:
        """Take them away, when no thread uses them."""
        library, fallback, self._library, self._fallback = self._library, self._fallback, None, None
        if library is not None and fallback is not None:
            library._destroy()
            fallback._destroy()

    def _register(self) -> None:
        with self._lock:
            if self._library is not None:
                return
            self._fallback = torch.library.Library("_", "IMPL")
            self._fallback.fallback(torch.library.fallthrough_kernel, _KEY)
            library = torch.library.Library("aten", "IMPL")
            for names, policy in (
                (_LOWER, self._lower),
                (_FP32, self._fp32),
                (_OWN_DTYPE, _own_dtype),
                (_PROMOTED, self._promoted),
            ):
                for operation in _operations(names):
                    library.impl(operation, _below(policy, operation), _KEY)
            for operation in _operations(_REFUSED):
                library.impl(operation, _refuse, _KEY)
            self._library = library

    def _lower(self, operation: OpOverload, args: Any, kwargs: Any) -> Any:
        """In the dtype of autocast."""
        dtype = torch.get_autocast_dtype(HERE.simulations[-1].kind)
        return operation(*self._cast(args, dtype), **self._cast(kwargs, dtype))

    def _fp32(self, operation: OpOverload, args: Any, kwargs: Any) -> Any:
        """In full precision."""
        return operation(*self._cast(args, torch.float32), **self._cast(kwargs, torch.float32))

    def _promoted(self, operation: OpOverload, args: Any, kwargs: Any) -> Any:
        """In the widest dtype among those of its operands."""
        lower = torch.get_autocast_dtype(HERE.simulations[-1].kind)
        tensors = [each for value in args for each in (value if isinstance(value, list | tuple) else [value])]
        is_wide = any(_is_eligible(each) and each.dtype is torch.float32 for each in tensors)
        dtype = torch.float32 if is_wide else lower
        return operation(*self._cast(args, dtype), **kwargs)

    def _cast(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, Tensor):
            return self._copies.of(value, dtype) if _is_eligible(value) else value
        if isinstance(value, list | tuple):
            return [self._cast(each, dtype) for each in value]
        if isinstance(value, dict):
            return {name: self._cast(each, dtype) for name, each in value.items()}
        return value


class _Copies(threading.local):
    """The copies of weights in the dtype of autocast: each is made once, as long as autocast is on."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}

    def of(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """The tensor in this dtype."""
        if tensor.dtype is dtype:
            return tensor
        is_kept = (
            tensor.dtype is torch.float32
            and dtype is torch.get_autocast_dtype(HERE.simulations[-1].kind)
            and tensor.requires_grad
            and tensor.is_leaf
            and not tensor._is_view()
            and torch.is_autocast_cache_enabled()
        )
        if not is_kept:
            return tensor.to(dtype)
        known = self._known.get(id(tensor))
        if known is None or known[0]() is not tensor:
            known = self._known[id(tensor)] = (weakref.ref(tensor), tensor.to(dtype))
        return known[1]

    def clear(self) -> None:
        """Forget them."""
        self._known.clear()


def _is_eligible(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.dtype is not torch.float64
        and (place := place_of(value)) is not None
        and torch.is_autocast_enabled(place.type)
    )


def _below(policy: Callable[..., Any], operation: OpOverload) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(_KEYS):
            return policy(operation, args, kwargs)

    return kernel


def _own_dtype(operation: OpOverload, args: Any, kwargs: Any) -> Any:
    """In full precision where no dtype is asked for, as its result."""
    if _is_eligible(args[0]) and args[0].dtype is not torch.float32 and kwargs.get("dtype") is None:
        place = [argument.name for argument in operation._schema.arguments].index("dtype")
        if len(args) <= place or args[place] is None:
            return operation(*args[:place], **{**kwargs, "dtype": torch.float32})
    return operation(*args, **kwargs)


def _refuse(*_: Any, **__: Any) -> Any:
    msg = (
        "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n"
        "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
        "In this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_logits\n"
        "or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\n"
        "safe to autocast."
    )
    raise RuntimeError(msg)


def _operations(names: str) -> list[OpOverload]:
    """Those that this version of PyTorch has."""
    found = []
    for name in names.split():
        packet, _, overload = name.partition(".")
        known = getattr(torch.ops.aten, packet, None)
        operation = getattr(known, overload or "default", None)
        found += [operation] if isinstance(operation, OpOverload) else []
    return found


_LOWER = """
_convolution.deprecated _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d.input
conv_transpose3d.input convolution prelu addmm addmv addr matmul einsum mm mv linalg_vecdot linear addbmm baddbmm bmm
chain_matmul linalg_multi_dot _thnn_fused_lstm_cell _thnn_fused_gru_cell lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
_scaled_dot_product_flash_attention scaled_dot_product_attention
"""
_FP32 = """
acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar pow.Tensor_Tensor
pow.Scalar softplus layer_norm native_layer_norm rms_norm group_norm frobenius_norm.dim nuclear_norm nuclear_norm.dim
cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss
smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss
multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d
_upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d _upsample_nearest_exact3d
upsample_linear1d upsample_bilinear2d _upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d
_upsample_bicubic2d_aa norm.Scalar norm.ScalarOpt_dim
"""
_OWN_DTYPE = """
prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm linalg_matrix_norm
linalg_matrix_norm.str_ord sum sum.dim_IntList
"""
_PROMOTED = "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add cat stack"
_REFUSED = "binary_cross_entropy"

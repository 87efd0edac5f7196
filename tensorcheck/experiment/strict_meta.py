"""The meta device, made as strict as the one that computes.

A meta tensor has a shape and a dtype and no values, so its operations allocate nothing; but they let pass what a kernel
refuses: a float64 input of a float32 layer, integers where floats are wanted, a class that is out of range. So each
operation that is new by its dtypes and ranks is made once more, on zeros on the CPU: of the true sizes where these are
small, of sizes of two or one otherwise. What that raises about dtypes is what a training would raise, in its words. Of
a batch that is at hand the whole numbers are known, and looked at where they are indices.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tensorcheck.devices.scope import HERE, outside
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.patches import FILE_NAME_THAT_WARNINGS_SKIP
from tensorcheck.observe.stood_for import numbers_of
from tensorcheck.observe.undisturbed import RandomState

_ATEN = torch.ops.aten
_SMALL = 1 << 16
"""Elements of all operands together up to which an operation is tried in its true sizes."""
_SMALL_TO_FAIL = 1 << 22
"""Likewise, of one that is refused: to be refused takes no time."""
_SIZES = (2, 1)
"""Otherwise every dimension is of these: equal sizes fit each other in most operations."""
_OF_ANY_SIZE = re.compile(
    r"dtype|scalar type|not implemented for|not supported|same type|should be the same|must be (Long|Int|Float)"
    r"|expected .*(Long|Int|Float|Double|Bool)|floating point|type torch|indices must|integer"
    r"|can't be cast|Dimension out of range|broadcast shape",
    re.IGNORECASE,
)
"""What errors say that do not depend on values, nor, where sizes were changed, on these."""
_TAGS_OF_VALUES = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
"""What PyTorch says of operations whose results, or the sizes of these, depend on values."""
_VALUE_NEEDED = frozenset({_ATEN.equal, _ATEN.is_nonzero, _ATEN._pack_padded_sequence})  # noqa: SLF001 - its own name
"""Others of which that is so."""


class ValueNeededError(BaseException):
    """The program asked for a value, and on the meta device there is none; no `Exception`, for it is no mistake."""


def _depends_on_values(func: OpOverload, args: tuple[Any, ...]) -> bool:
    packet = func.overloadpacket
    if packet is _ATEN.index:  # by numbers it is of a known size, by a mask it is not
        return any(each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1])
    if packet is _ATEN._ctc_loss:  # noqa: SLF001 - its own name
        return bool(HERE.simulations)  # its lengths, which may be on the CPU
    return packet in _VALUE_NEEDED or any(tag in func.tags for tag in _TAGS_OF_VALUES)


def _needs_value(name: str) -> BaseException:
    """What to raise where a value is asked for; what of ours asks for one has to go on without."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while frame is not None and _is_on_the_way(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is not None and owner_of(frame.f_code.co_filename) is Owner.OURS:
        return RuntimeError(f"{name}: there is no value on the meta device")
    return ValueNeededError(name)


def _is_on_the_way(filename: str) -> bool:
    return filename in (__file__, FILE_NAME_THAT_WARNINGS_SKIP) or owner_of(filename) is Owner.TORCH


class StrictMeta(TorchDispatchMode):
    """Within, what runs on the meta device raises what it would raise where it computes.

    >>> layer = torch.nn.Linear(4, 2, device="meta")
    >>> with StrictMeta():
    ...     layer(torch.zeros(8, 4, dtype=torch.float64, device="meta"))
    Traceback (most recent call last):
        ...
    RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tried: set[object] = set()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the operation's own result
        """Ask what it would raise, then do it."""
        given = kwargs or {}
        tensors = [each for each in tree_leaves((args, given)) if isinstance(each, Tensor)]
        if any(each.is_meta for each in tensors):
            if _depends_on_values(func, args):
                raise _needs_value(func.overloadpacket.__name__)
            self._try(func, args, given, tensors)
            return _made(func, args, given, tensors)
        return func(*args, **given)

    def _try(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
        _refuse_index(func, args)
        key = (func, *[(each.dtype, each.dim()) for each in tensors])
        if key in self._tried:
            return
        self._tried.add(key)
        is_small = sum(each.numel() for each in tensors) <= _SMALL
        state = RandomState.now()
        try:
            for size in (None, *_SIZES) if is_small else _SIZES:
                if _passes(func, args, kwargs, size):
                    return
        finally:
            state.restore()


def _made(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]) -> Any:  # noqa: ANN401 - the operation's own result
    """What an operation returns; of a small one that raises, what the CPU says is what counts."""
    try:
        return func(*args, **kwargs)
    except Exception as error:
        is_of_devices = HERE.simulations and "device" in str(error)  # of which the CPU knows nothing
        if is_of_devices or sum(each.numel() for each in tensors) > _SMALL_TO_FAIL:
            raise
        small_args, small_kwargs = _stand_ins(args, kwargs, None)
        with outside():
            result = func(*small_args, **small_kwargs)  # most likely it raises too, in other words
        return tree_map(lambda each: each.to("meta") if isinstance(each, Tensor) else each, result)


def _passes(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], size: int | None) -> bool:
    """Whether an operation passes with tensors of this size; what it raises for any size is raised."""
    small_args, small_kwargs = _stand_ins(args, kwargs, size)
    if size is not None and func in _FITTED:
        small_args = _FITTED[func](small_args, size)
    try:
        with outside():
            func(*small_args, **small_kwargs)
    except Exception as error:
        if _OF_ANY_SIZE.search(str(error)):
            raise
        return False
    return True


def _stand_ins(args: tuple[Any, ...], kwargs: dict[str, Any], size: int | None) -> Any:  # noqa: ANN401 - a pair of the same
    with outside():
        return tree_map(lambda each: _stand_in(each, size), (args, kwargs))


def _stand_in(value: object, size: int | None) -> object:
    """Zeros on the CPU in place of a tensor."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == "meta" else value
    if not isinstance(value, Tensor):
        return value
    if size is not None:
        return torch.ones([size] * value.dim(), dtype=value.dtype, device="cpu").zero_()
    made = torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="cpu")
    return made.zero_()


def _normalized(args: tuple[Any, ...], size: int) -> tuple[Any, ...]:
    return (args[0], [size] * len(args[1]), *args[2:])


def _grouped(args: tuple[Any, ...], size: int) -> tuple[Any, ...]:
    return (*args[:3], size, size, size ** (args[0].dim() - 2), 1, *args[7:])


_FITTED: dict[object, Callable[[tuple[Any, ...], int], tuple[Any, ...]]] = {
    _ATEN.native_layer_norm.default: _normalized,
    _ATEN.native_group_norm.default: _grouped,
}
"""Operations that are given sizes as numbers too."""


def _refuse_index(func: OpOverload, args: tuple[Any, ...]) -> None:
    """Raise what a kernel raises that meets an index which is out of range."""
    for indices, count, ignored, words in _indices(func, args):
        numbers = numbers_of(indices)
        if numbers is None:
            continue
        wrong = numbers[((numbers < 0) | (numbers >= count)) & _counts(numbers, ignored)]
        if wrong.numel():
            raise IndexError(words.format(int(wrong[0])))


def _counts(numbers: Tensor, ignored: int | None) -> Tensor:
    return torch.ones_like(numbers, dtype=torch.bool) if ignored is None else numbers != ignored


def _indices(func: OpOverload, args: tuple[Any, ...]) -> Iterator[tuple[Tensor, int, int | None, str]]:
    """The indices that an operation is given, how many there may be, which it ignores, and what it says of others."""
    packet = func.overloadpacket
    if packet is _ATEN.embedding:
        yield args[1], args[0].size(0), None, "index out of range in self"
    elif packet in (_ATEN.nll_loss_forward, _ATEN.nll_loss2d_forward):
        yield args[1], args[0].size(-1 if args[0].dim() == 1 else 1), args[4], "Target {} is out of bounds."


class OnMeta(TorchFunctionMode):
    """Within, whatever is made or moved is on the meta device, whichever device the program names.

    >>> with OnMeta():
    ...     torch.zeros(2, device="cpu").cuda().device
    device(type='meta')
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call the function with the meta device in place of another one."""
        try:
            return self._called(func, args, dict(kwargs or {}))
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            if _OF_META.search(str(error)):
                raise _needs_value(getattr(func, "__name__", "a function")) from None
            raise

    def _called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - likewise
        if func in _MOVES:
            return args[0].to("meta")
        if func is Tensor.to:
            args = (args[0], *["meta" if _is_device(each) else each for each in args[1:]])
        if kwargs.get("device") is not None or func in _factories():
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


class WithoutValues(OnMeta):
    """Within, what wants a value is told from what is wrong; devices are left as they are."""

    def _called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - likewise
        return func(*args, **kwargs)


_MOVES = frozenset({Tensor.cpu, Tensor.cuda, Tensor.xpu})
_OF_META = re.compile(r"meta tensor|Meta tensors|tensors? on (the )?meta|'meta'|meta device|unallocated storage")
"""What errors say that come of having no values."""


@functools.cache
def _factories() -> frozenset[Callable[..., Any]]:
    """The functions that take a device and make a tensor out of none."""
    return frozenset(_device_constructors())


def _is_device(value: object) -> bool:
    if isinstance(value, str | torch.device):
        return True
    return isinstance(value, int) and not isinstance(value, bool)

"""Which window or padding of a failed call does not fit its input, told from its settings and PyTorch's message."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.calls import FailedCall
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.modules import ModuleMeta
from tensorcheck.wording import expectation, titled, with_setting

_IS_ABOUT_SIZES = re.compile(
    r"Kernel size can't be greater|Output size is too small|Invalid computed output size|smaller than kernel size|"
    r"too large relative to input|sliding blocks|is too small\. Calculated output"
)


@dataclass(frozen=True, slots=True)
class Overrun:
    """A window that reaches beyond its input, as a rule says it."""

    headlines: tuple[str, ...]
    """From the fullest to the shortest."""
    wanted: str = ""
    setting: str = ""
    """The layer's setting that is too large."""
    dims: int = 0
    """How many dims from the end are too small; 0 where they are not what is wrong."""
    note: str = ""
    fixes: tuple[Fix, ...] = ()


def overrun_of(call: FailedCall, message: str) -> Overrun | None:
    """The window that does not fit; None where the message is about something else.

    >>> sizes = {"kernel_size": (5,), "padding": (0,), "dilation": (1,)}
    >>> conv = ModuleMeta("conv", "Conv1d", settings=sizes, is_builtin=True)
    >>> from tensorcheck.calls import Operand
    >>> from tensorcheck.tensors import TensorMeta
    >>> call = FailedCall("Conv1d", "layer", (Operand("input", TensorMeta((8, 24, 4), "float32", "cpu")),), module=conv)
    >>> overrun_of(call, "Kernel size can't be greater than actual input size").headlines[0]
    '`conv` spans 5 but its input is 4'
    """
    ways = (_of_layer, *(_told(pattern, say) for pattern, say in _MESSAGES.items()))
    return next((found for way in ways if (found := way(call, message)) is not None), None)


@dataclass(frozen=True, slots=True)
class _Span:
    """A layer's window in one dim, and the room that it has there."""

    kernel: int
    dilation: int
    size: int
    padding: int

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def room(self) -> int:
        return self.size + 2 * self.padding


def _of_layer(call: FailedCall, message: str) -> Overrun | None:
    """A layer whose kernel, with its dilation, is larger than its input with its padding."""
    layer, given = call.module, call.first
    if layer is None or given is None or not _IS_ABOUT_SIZES.search(message) or layer.settings.get("transposed"):
        return None
    spans = tuple(_spans(layer, given.meta.shape))
    if all(span.reach <= span.room for span in spans):
        return None
    reach, room = _by([span.reach for span in spans]), _by([span.room for span in spans])
    padded = " with its padding" if any(span.padding for span in spans) else ""
    sizes = [*given.meta.shape[: -len(spans)], *(f">= {max(span.reach - 2 * span.padding, 1)}" for span in spans)]
    dilation = max(span.dilation for span in spans)
    return Overrun(
        (f"{titled(layer)} spans {reach} but its input is {room}{padded}", f"{titled(layer)} spans {reach}"),
        expectation(f"{given.meta.dtype}[{', '.join(map(str, sizes))}]", layer),
        "kernel_size",
        len(spans),
        f"a kernel of {spans[0].kernel} with dilation {dilation} spans {spans[0].reach}" if dilation > 1 else "",
    )


def _spans(layer: ModuleMeta, shape: Sequence[int]) -> Iterator[_Span]:
    rank = next((int(digit) for digit in layer.layer if digit in "123"), 2 if layer.layer == "Unfold" else 0)
    kernels = _each(layer.settings.get("kernel_size"), rank)
    paddings = _each(layer.settings.get("padding", 0), rank) or (0,) * rank
    dilations = _each(layer.settings.get("dilation", 1), rank) or (1,) * rank
    if rank and len(kernels) == rank <= len(shape):
        for parts in zip(kernels, dilations, shape[-rank:], paddings, strict=True):
            yield _Span(*parts)


def _each(setting: object, rank: int) -> tuple[int, ...]:
    """A setting's number for each dim; none where it is a word such as `same`."""
    values = setting if isinstance(setting, tuple) else (setting,) * rank
    return tuple(value for value in values if isinstance(value, int)) if len(values) == rank else ()


def _by(sizes: Sequence[object]) -> str:
    return " x ".join(map(str, sizes))


_Say = Callable[[FailedCall, re.Match[str]], Overrun | None]


def _told(pattern: str, say: _Say) -> Callable[[FailedCall, str], Overrun | None]:
    def way(call: FailedCall, message: str) -> Overrun | None:
        match = re.search(pattern, message, re.DOTALL)
        return say(call, match) if match is not None else None

    return way


def _subject(call: FailedCall) -> str:
    return titled(call.module) if call.module is not None else f"`{call.function}`"


def _kernel(call: FailedCall, match: re.Match[str]) -> Overrun:
    room, reach = match.groups()
    rank = room.count("x") + 1
    return Overrun((f"{_subject(call)} spans {reach} but its input is {room} with its padding",), dims=rank)


def _pooled(call: FailedCall, match: re.Match[str]) -> Overrun:
    """The message has the channels in front of the sizes."""
    (_, *sizes), (_, *left) = match[1].split("x"), match[2].split("x")
    return Overrun((f"{_subject(call)} leaves {_by(left)} of an input of {_by(sizes)}",), dims=len(sizes))


def _smaller(call: FailedCall, match: re.Match[str]) -> Overrun:
    room, reach = (re.findall(r"\d+", sizes) for sizes in match.groups())
    return Overrun((f"{_subject(call)} spans {_by(reach)} but its input is {_by(room)}",), dims=len(room))


def _nothing_left(call: FailedCall, match: re.Match[str]) -> Overrun:
    size = call.first.meta.shape[-1] if call.first is not None and call.first.meta.shape else "its length"
    return Overrun((f"{_subject(call)} leaves {match[1]} of an input of {size}",), dims=1)


def _transposed(call: FailedCall, match: re.Match[str]) -> Overrun:
    size, left = match.groups()
    padding = call.module.settings.get("padding") if call.module is not None else None
    cut = f" with a padding of {_by(padding)}" if isinstance(padding, tuple) else ""
    headline = f"{_subject(call)} leaves {left} of an input of {size}"
    return Overrun((f"{headline}{cut}", headline), setting="padding", note="padding cuts a transposed output off")


def _reflected(call: FailedCall, match: re.Match[str]) -> Overrun:
    before, after, dim, sizes = match.groups()
    padding, size = max(int(before), int(after)), sizes.split(", ")[int(dim)]
    wanted = f"padding below {size}" if call.module is not None else f"an input longer than {padding}"
    return Overrun((f"{_subject(call)} reflects {padding} of an input of {size}",), wanted, "padding", 1)


def _half(call: FailedCall, match: re.Match[str]) -> Overrun:
    padding, kernel, dilation = map(int, match.groups())
    most = ((kernel - 1) * dilation + 1) // 2
    code = with_setting(call, call.module, "padding", most) if call.module is not None else None
    return Overrun(
        (f"{_subject(call)} has a padding of {padding} but a kernel of {kernel} takes at most {most}",),
        f"padding of at most {most}",
        "padding",
        fixes=(Fix(code, (ChangeSetting("padding", most),)),) if code is not None else (),
    )


def _wrapped(call: FailedCall, _: re.Match[str]) -> Overrun:
    padding = call.module.settings.get("padding") if call.module is not None else None
    size = call.first.meta.shape[-1] if call.first is not None and call.first.meta.shape else "its input"
    cut = _by(padding) if isinstance(padding, tuple) else "more"
    fact = f"{_subject(call)} has a circular padding of {cut} for an input of {size}"
    return Overrun((fact,), f"padding of at most {size}", "padding", 1)


def _cut_off(call: FailedCall, _: re.Match[str]) -> Overrun | None:
    """A negative padding, which cuts off."""
    padding = next((setting.value for setting in call.settings if isinstance(setting.value, tuple)), None)
    if call.function != "pad" or not isinstance(padding, tuple) or call.first is None:
        return None
    return Overrun((f"`pad` cuts {list(padding)} off an input of {list(call.first.meta.shape)}",), dims=1)


def _too_small(call: FailedCall, match: re.Match[str]) -> Overrun:
    padding = call.module.settings.get("padding") if call.module is not None else None
    cut = f" with a padding of {list(padding)}" if isinstance(padding, tuple) else ""
    headline = f"{_subject(call)} leaves {match[2]} of an input of {match[1]}"
    return Overrun((f"{headline}{cut}", headline), setting="padding", dims=1)


def _resized(call: FailedCall, match: re.Match[str]) -> Overrun:
    given, left = (_by(re.findall(r"\d+", sizes)) for sizes in match.groups())
    return Overrun((f"{_subject(call)} makes {left} of an input of {given}",), "an output of at least 1", dims=2)


def _unfolded(call: FailedCall, match: re.Match[str]) -> Overrun:
    dim, size, window = match.groups()
    fact = f"{_subject(call)} takes windows of {window} from dim {dim} of size {size}"
    return Overrun((fact,), f"windows up to {size}")


def _without_steps(call: FailedCall, _: re.Match[str]) -> Overrun:
    is_first = call.module is not None and call.module.settings.get("batch_first")
    wanted = "[batch, seq > 0, *]" if is_first else "[seq > 0, batch, *]"
    return Overrun((f"{_subject(call)} got a sequence of 0 steps",), wanted)


def _same_with_stride(call: FailedCall, _: re.Match[str]) -> Overrun:
    stride = call.setting("stride") or call.setting("3")
    number = stride.value if stride is not None else "above 1"
    fact = f'`{call.function}` got a stride of {number} but padding="same" takes 1'
    kernel = call.setting("kernel_size") or call.setting("2")
    half = kernel.value // 2 if kernel is not None and isinstance(kernel.value, int) else None
    fixes = (Fix(f"padding={half}", (ChangeSetting("padding", half),)),) if half is not None else ()
    return Overrun((fact,), "a stride of 1", fixes=fixes)


_MESSAGES: dict[str, _Say] = {
    r"padded input size per channel: \(([\d x]+)\)\. Kernel size: \(([\d x]+)\)\. Kernel size can't": _kernel,
    r"Given input size: \(([\dx]+)\)\. Calculated output size: \(([-\dx]+)\)\. Output size is too small": _pooled,
    r"input image \(([^)]*)\) smaller than kernel size \(([^)]*)\)": _smaller,
    r"Invalid computed output size: (-?\d+)": _nothing_left,
    r"input size per channel: \(([\d x]+)\)\. Calculated output size per channel: \(([-\d x]+)\)": _transposed,
    r"but got: padding \((-?\d+), (-?\d+)\) at dimension (\d+) of input \[([\d, ]*)\]": _reflected,
    r"at most half of (?:effective )?kernel size, but got pad=(\d+), kernel_size=(\d+) and dilation=(\d+)": _half,
    r"causes wrapping around more than once": _wrapped,
    r"narrow\(\): length must be non-negative": _cut_off,
    r"input \((?:[A-Z]: )?([^)]*)\) is too small\. Calculated output [A-Z: ]*(-?\d+)": _too_small,
    r"sizes should be greater than 0, but got input \(([^)]*)\) output \(([^)]*)\)": _resized,
    r"maximum size for tensor at dimension (\d+) is (\d+) but size is (\d+)": _unfolded,
    r"Expected sequence length to be larger than 0 in RNN": _without_steps,
    r"padding='same' is not supported for strided convolutions": _same_with_stride,
}

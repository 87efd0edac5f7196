"""Assertions of tensors: of one, or of all in a batch, a state dict or a module."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.observe.describe import leaves, tensor_meta
from tensorcheck.specs.spec import TensorSpec
from tensorcheck.testing.failing import Complaint, fail, in_words_of_test
from tensorcheck.testing.sizes import KNOWN, Known

Spec = TensorSpec | str
Specs = Spec | Mapping[Any, Any] | Sequence[Any]
"""A spec, or a structure of them like that of the batch."""

_PLAIN = (Tensor, nn.Parameter)


def assert_spec(
    value: object,
    spec: Specs,
    *,
    dtype: Any = None,  # noqa: ANN401 - a dtype, its name, or several of either
    device: Any = None,  # noqa: ANN401 - likewise
    requires_grad: bool | None = None,
) -> None:
    """Each tensor is as its spec says: a shape string such as `batch 3 h w`, or a `TensorSpec`.

    Of a batch, a state dict or a module, one spec is for every tensor, and a dictionary or a sequence of specs for the
    parts of the same key or place; keys that no spec names are not looked at. The names of sizes hold for all tensors
    of one call, and for all calls within `dims`. About 3 µs for a tensor that is right.

    >>> import torch
    >>> assert_spec(torch.zeros(8, 3, 4, 4), "batch 3 h h", dtype=torch.float32)
    >>> batch = {"image": torch.zeros(8, 1, 28, 28), "label": torch.zeros(7)}
    >>> assert_spec(batch, {"image": "batch 1 28 28", "label": "batch"})
    Traceback (most recent call last):
    AssertionError: `batch["label"]` is float32[7] cpu
      expected: [batch]
      dim 0 is 7 and should be 'batch', which is 8
      'batch' is 8 since `batch["image"]`
    """
    __tracebackhide__ = True
    known = KNOWN.get()
    if type(value) in _PLAIN and isinstance(spec, str) and not isinstance(dtype, list | set):
        wanted = _spec_of(spec, dtype, device, requires_grad)
        if known is None:
            if wanted.accepts(value):  # type: ignore[arg-type]  # its class was just asked for
                return
        elif wanted.accepts(value, known.sizes):  # type: ignore[arg-type]  # likewise
            _learn(wanted, known)
            return
    _check(value, _finished(spec, dtype, device, requires_grad), known or Known())


def _learn(spec: TensorSpec, known: Known) -> None:
    """Remember which tensor a name's size was first seen in."""
    if any(name not in known.sources for name in spec.dims.names):
        from tensorcheck.testing.spelled import spelled_argument  # noqa: PLC0415 - it reads source files

        for name in spec.dims.names:
            known.sources.setdefault(name, f"`{spelled_argument()}`")


def assert_shape(value: object, shape: str | Sequence[int] | torch.Size) -> None:
    """Each tensor has this shape: a shape string, or sizes.

    >>> import torch
    >>> assert_shape(torch.zeros(8, 10), "batch 10")
    >>> assert_shape(torch.zeros(8, 10), (8, 1))
    Traceback (most recent call last):
    AssertionError: `torch.zeros(8, 10)` is float32[8, 10] cpu
      expected: [8 1]
      dim 1 is 10 and should be 1
    """
    __tracebackhide__ = True
    assert_spec(value, shape if isinstance(shape, str) else " ".join(map(str, shape)))


def assert_dtype(value: object, dtype: Any) -> None:  # noqa: ANN401 - a dtype, its name, or several of either
    """Each tensor has this dtype, or one of this kind, such as `float`.

    >>> import torch
    >>> assert_dtype([torch.zeros(2), torch.zeros(3)], torch.float32)
    """
    __tracebackhide__ = True
    assert_spec(value, "...", dtype=dtype)


def assert_device(value: object, device: str | torch.device) -> None:
    """Each tensor is on this device; one without an index, such as `cuda`, is any of its type.

    >>> import torch
    >>> assert_device({"weight": torch.zeros(2)}, "cpu")
    """
    __tracebackhide__ = True
    assert_spec(value, "...", device=device)


def assert_requires_grad(value: object, requires_grad: bool = True) -> None:  # noqa: FBT001, FBT002 - as PyTorch has it
    """Each tensor requires a gradient; with False, none does.

    >>> import torch
    >>> assert_requires_grad(torch.nn.Linear(2, 1))
    """
    __tracebackhide__ = True
    assert_spec(value, "...", requires_grad=requires_grad)


def assert_finite(value: object) -> None:
    """No tensor holds NaN or infinity; of a module, no parameter, buffer or gradient.

    >>> import torch
    >>> assert_finite({"loss": torch.tensor([1.0, float("nan")])})
    Traceback (most recent call last):
    AssertionError: `{'loss': torch.tensor([1.0, float('nan')])}["loss"]` is float32[2] cpu
      expected: every value finite
      1 of its 2 values is NaN, the first at [1]
    """
    __tracebackhide__ = True
    complaints = [
        Complaint(path, tensor_meta(tensor), "every value finite", (_counted(tensor),))
        for path, tensor in _tensors(value, with_gradients=True)
        if not bool(torch.isfinite(tensor.detach()).all())
    ]
    if complaints:
        fail(complaints)


def _counted(tensor: Tensor) -> str:
    values = tensor.detach()
    bad = ~torch.isfinite(values)
    counts = {"NaN": int(torch.isnan(values).sum()), "infinite": int(torch.isinf(values).sum())}
    first = bad.nonzero()[0].tolist()
    told = " and ".join(f"{count} {'is' if count == 1 else 'are'} {name}" for name, count in counts.items() if count)
    where = f", the first at {first}" if first else ""
    total = f"{values.numel()} values" if values.numel() != 1 else "1 value"
    number, _, rest = told.partition(" ")
    return f"{number} of its {total} {rest}{where}"


@functools.lru_cache(maxsize=1024)
def _spec_of(shape: str, dtype: Any, device: Any, requires_grad: bool | None) -> TensorSpec:  # noqa: ANN401, FBT001 - a key
    return TensorSpec(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def _finished(spec: Any, dtype: Any, device: Any, requires_grad: bool | None) -> Any:  # noqa: ANN401, FBT001 - nested
    """The specs with what was said of all of them."""
    if isinstance(spec, Mapping):
        return {key: _finished(part, dtype, device, requires_grad) for key, part in spec.items()}
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return [_finished(part, dtype, device, requires_grad) for part in spec]
    return _joined(spec, dtype, device, requires_grad)


def _joined(spec: Any, dtype: Any, device: Any, requires_grad: bool | None) -> TensorSpec:  # noqa: ANN401, FBT001 - likewise
    if isinstance(spec, str):
        spec = TensorSpec.read(spec)
    if not isinstance(spec, TensorSpec):
        msg = f"a spec is a shape string or a TensorSpec, not {type(spec).__name__}"
        raise TypeError(msg)
    return TensorSpec(
        spec.shape,
        dtype=spec.dtype if dtype is None else dtype,
        device=spec.device if device is None else device,
        requires_grad=spec.requires_grad if requires_grad is None else requires_grad,
    )


def _check(value: object, spec: Any, known: Known) -> None:  # noqa: ANN401 - nested specs
    __tracebackhide__ = True
    complaints = list(_complaints(value, spec, "value", known))
    if complaints:
        fail(complaints)


def _complaints(value: Any, spec: Any, name: str, known: Known) -> Iterator[Complaint]:  # noqa: ANN401 - nested
    if isinstance(spec, TensorSpec):
        yield from _of_all(value, spec, name, known)
    elif isinstance(spec, Mapping):
        yield from _of_keys(value, spec, name, known)
    else:
        yield from _of_places(value, spec, name, known)


def _of_keys(value: Any, specs: Mapping[Any, Any], name: str, known: Known) -> Iterator[Complaint]:  # noqa: ANN401
    if isinstance(value, nn.Module):
        value = dict(_tensors(value))
    if not isinstance(value, Mapping):
        yield Complaint(name, type(value).__name__, f"a dictionary with {', '.join(map(repr, specs))}")
        return
    for key, spec in specs.items():
        if key in value:
            yield from _complaints(
                value[key], spec, f'{name}["{key}"]' if isinstance(key, str) else f"{name}[{key}]", known
            )
        else:
            yield Complaint(name, f"a dictionary with {', '.join(map(repr, value)) or 'nothing'}", f"a key {key!r}")


def _of_places(value: Any, specs: Sequence[Any], name: str, known: Known) -> Iterator[Complaint]:  # noqa: ANN401
    if not isinstance(value, list | tuple) or len(value) != len(specs):
        got = f"{type(value).__name__} of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__
        yield Complaint(name, got, f"{len(specs)} parts")
        return
    for index, (part, spec) in enumerate(zip(value, specs, strict=True)):
        yield from _complaints(part, spec, f"{name}[{index}]", known)


def _of_all(value: object, spec: TensorSpec, name: str, known: Known) -> Iterator[Complaint]:
    found = list(_tensors(value, name))
    if not found:
        yield Complaint(name, f"{type(value).__name__} without a tensor", str(spec))
    for path, tensor in found:
        wrong = spec.mismatches(tensor, known.sizes)
        new = known.sizes.keys() - known.sources.keys()
        known.sources.update(dict.fromkeys(new, f"`{in_words_of_test(path)}`") if new else {})
        if wrong:
            reasons = tuple(map(str, wrong))
            yield Complaint(path, tensor_meta(tensor), str(spec), (*reasons, *_since(reasons[0], path, known)))


def _since(reason: str, path: str, known: Known) -> Iterator[str]:
    """Where the sizes were learned that a reason names."""
    for name, source in known.sources.items():
        if f"{name!r}" in reason and source != f"`{in_words_of_test(path)}`":
            yield f"{name!r} is {known.sizes[name]} since {source}"


def _tensors(value: object, name: str = "value", *, with_gradients: bool = False) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a structure or a module, each with the expression or the dotted path that reaches it."""
    if not isinstance(value, nn.Module):
        yield from leaves(value, name)
        return
    yield from value.named_parameters()
    yield from value.named_buffers()
    if with_gradients:
        yield from ((f"{path}.grad", each.grad) for path, each in value.named_parameters() if each.grad is not None)

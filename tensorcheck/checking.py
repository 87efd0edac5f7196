"""`tensorcheck.checked`: what a function's annotations say of tensors holds in each call."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensor_meta
from tensorcheck.specs.dtypes import KINDS
from tensorcheck.specs.spec import TensorSpec

T = TypeVar("T", bound=Callable[..., Any])


class SpecMismatchError(TypeError):
    """An argument or a result that is not what its annotation says.

    >>> issubclass(SpecMismatchError, TypeError)
    True
    """


def checked(target: T) -> T:
    """Check the tensors of each call against the annotations: of a function, a method, or of all methods of a class.

    An annotation is `Annotated[Tensor, "batch 3 h w"]`, `Annotated[Tensor, TensorSpec(...)]`, a `TensorSpec` itself,
    or, where jaxtyping is installed, one of its own such as `Float[Tensor, "batch 3 h w"]`; also within a tuple, a list
    or a union, of which one has to hold. The names of sizes hold for all arguments and the result of one call. What
    does not fit raises a `SpecMismatchError`. Nothing is checked where `torch.compile` traces. A class is changed in
    place.

    >>> from typing import Annotated
    >>> @checked
    ... def scores(x: Annotated[Tensor, "batch width"], w: Annotated[Tensor, "width"]) -> Annotated[Tensor, "batch"]:
    ...     return x @ w
    >>> scores(torch.zeros(8, 4), torch.zeros(5))
    Traceback (most recent call last):
    tensorcheck.checking.SpecMismatchError: `scores`: its argument `w` is float32[5] cpu
      expected: [width]
      dim 0 is 5 and should be 'width', which is 4
    """
    if isinstance(target, type):
        for name, member in list(vars(target).items()):
            setattr(target, name, _checked_member(member))
        return target
    return _checked_function(target)


def _checked_member(member: Any) -> Any:  # noqa: ANN401 - anything may be in a class
    if isinstance(member, staticmethod | classmethod):
        return type(member)(_checked_function(member.__func__))
    return _checked_function(member) if inspect.isfunction(member) and member.__annotations__ else member


def _checked_function(function: T) -> T:
    checks = _Checks(function)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own types
            sizes = checks.of_arguments(args, kwargs)
            return checks.of_result(await function(*args, **kwargs), sizes)

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - likewise
            __tracebackhide__ = True
            if torch.compiler.is_compiling():
                return function(*args, **kwargs)
            sizes = checks.of_arguments(args, kwargs)
            return checks.of_result(function(*args, **kwargs), sizes)

    return typing.cast("T", wrapper)


class _Checks:
    """What the annotations of one function say; they are read with the first call, when all that they name is there."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature = inspect.signature(function)

    @functools.cached_property
    def _specs(self) -> Mapping[str, Any]:
        hints = typing.get_type_hints(self._function, include_extras=True)
        specs = {name: _spec_in(hint) for name, hint in hints.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}

    def of_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Check the arguments; the result is the sizes that their names have."""
        __tracebackhide__ = True
        sizes: dict[str, Any] = {}
        try:
            given = self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            return sizes  # the call itself says so
        for name, spec in self._specs.items():
            if name in given and name != "return":
                self._check(f"its argument `{name}`", self._several(name, given[name], spec), sizes)
        return sizes

    def _several(self, name: str, value: Any, spec: Any) -> tuple[Any, Any]:  # noqa: ANN401 - whatever is passed
        """Of `*args` and `**kwargs`, the annotation is of each."""
        kind = self._signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return list(value), _Parts((spec,), is_repeated=True)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return list(value.values()), _Parts((spec,), is_repeated=True)
        return value, spec

    def of_result(self, result: Any, sizes: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever the function returns
        """Check the result, and return it."""
        __tracebackhide__ = True
        if "return" in self._specs:
            self._check("its result", (result, self._specs["return"]), sizes)
        return result

    def _check(self, what: str, pair: tuple[Any, Any], sizes: dict[str, Any]) -> None:
        __tracebackhide__ = True
        for where, got, spec, reasons in _mismatches(*pair, sizes):
            lines = [f"`{self._function.__qualname__}`: {what}{where} is {got}", f"expected: {spec}", *reasons]
            raise SpecMismatchError("\n  ".join(lines))


Wrong = tuple[str, object, str, list[str]]
"""Which part it is, what came, what was expected, and why that is not it."""


class _Parts:
    """The specs of a tuple or a list."""

    def __init__(self, parts: tuple[Any, ...], *, is_repeated: bool) -> None:
        self.parts = parts
        self.is_repeated = is_repeated


class _Either:
    """Specs of which one has to hold; None among them stands for what no spec is said of."""

    def __init__(self, options: tuple[Any, ...]) -> None:
        self.options = options


def _spec_in(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """What an annotation says of tensors; None where it says nothing."""
    if isinstance(hint, TensorSpec):
        return hint
    if hasattr(hint, "dim_str") and hasattr(hint, "dtypes"):  # a class that jaxtyping makes
        return TensorSpec(hint.dim_str, dtype=_dtypes_of(hint))
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        named = [each for each in parts[1:] if isinstance(each, str | TensorSpec)]
        is_tensor = isinstance(parts[0], type) and issubclass(parts[0], Tensor)
        return _read(named[0]) if named and is_tensor else _spec_in(parts[0])
    if origin in (typing.Union, types.UnionType):
        options = tuple(_spec_in(part) for part in parts)
        return _Either(options) if any(option is not None for option in options) else None
    if origin in (tuple, list) and parts:
        is_repeated = origin is list or (len(parts) > 1 and parts[-1] is Ellipsis)
        inner = tuple(_spec_in(part) for part in (parts[:1] if is_repeated else parts))
        return _Parts(inner, is_repeated=is_repeated) if any(part is not None for part in inner) else None
    return None


def _read(spec: str | TensorSpec) -> TensorSpec:
    return TensorSpec.read(spec) if isinstance(spec, str) else spec


def _dtypes_of(hint: Any) -> Any:  # noqa: ANN401 - a class that jaxtyping makes
    """The dtypes that it takes: by the name of its kind, which is ours too, or one by one."""
    kind = hint.dtype.__name__.lower()
    if kind in KINDS:
        return kind
    known = [name for name in hint.dtypes if hasattr(torch, name)] if isinstance(hint.dtypes, list | tuple) else []
    return known or None


def _mismatches(value: object, spec: object, sizes: dict[str, Any], where: str = "") -> Iterator[Wrong]:
    if spec is None:
        return
    if isinstance(spec, _Either):
        yield from _of_either(value, spec, sizes, where)
    elif isinstance(spec, _Parts):
        yield from _of_parts(value, spec, sizes, where)
    elif not isinstance(value, Tensor):
        yield where, type(value).__name__, str(spec), ["it is no tensor"]
    elif isinstance(spec, TensorSpec) and (wrong := spec.mismatches(value, sizes)):
        yield where, tensor_meta(value), str(spec), [str(each) for each in wrong]


def _of_either(value: object, spec: _Either, sizes: dict[str, Any], where: str) -> Iterator[Wrong]:
    """Those of the first option, where none holds."""
    if not isinstance(value, Tensor | tuple | list) and None in spec.options:
        return
    first = None
    for option in spec.options:
        if option is None:
            continue
        learned = dict(sizes)
        found = list(_mismatches(value, option, learned, where))
        if not found:
            sizes.update(learned)
            return
        first = first or found
    yield from first or ()


def _of_parts(value: object, spec: _Parts, sizes: dict[str, Any], where: str) -> Iterator[Wrong]:
    if not isinstance(value, tuple | list) or (not spec.is_repeated and len(value) != len(spec.parts)):
        wanted = "several tensors" if spec.is_repeated else f"{len(spec.parts)} parts"
        got = f"{type(value).__name__} of {len(value)}" if isinstance(value, tuple | list) else type(value).__name__
        yield where, got, wanted, []
        return
    parts = spec.parts * len(value) if spec.is_repeated else spec.parts
    for index, (part, one) in enumerate(zip(value, parts, strict=True)):
        yield from _mismatches(part, one, sizes, f"{where}[{index}]")

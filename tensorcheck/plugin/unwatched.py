"""The explanation of an exception in a test that nothing watched."""

from collections.abc import Iterator
from types import CodeType, ModuleType

import pytest

_ABOUT_TESTS = (AssertionError, pytest.fail.Exception, pytest.skip.Exception)


def explanation_for(item: pytest.Item, error: BaseException) -> str:
    """What `tensorcheck.explain` says of it, as text; empty for a test that does not import this package."""
    if not isinstance(error, Exception) or isinstance(error, _ABOUT_TESTS) or not _imports_us(item):
        return ""
    if any("[TCK" in note for note in getattr(error, "__notes__", ())):
        return ""  # a watch of the test's own said it
    from tensorcheck.testing.training import explanation  # noqa: PLC0415 - a test with tensors failed

    return explanation(error).strip("\n")


def _imports_us(item: pytest.Item) -> bool:
    """Whether the test's file or its function imports this package."""
    module: ModuleType | None = getattr(item, "module", None)
    function = getattr(item, "function", None)
    code = getattr(function, "__code__", None)
    names = set(_names(code)) if code is not None else set()
    held = vars(module).values() if module is not None else ()
    return "tensorcheck" in names or any(_is_ours(value) for value in held)


def _is_ours(value: object) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(name, str) and (name == "tensorcheck" or name.startswith("tensorcheck."))


def _names(code: CodeType) -> Iterator[str]:
    yield from (name.partition(".")[0] for name in code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)

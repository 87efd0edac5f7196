"""Plain values that a function does not take: sizes that are floats, and what no tensor can hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Setting
from tensorcheck.findings import Related
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.lineage_wording import written
from tensorcheck.sites import Site
from tensorcheck.wording import floored, short

_SIZES = re.compile(
    r"must be tuple of ints|cannot be interpreted as an integer|should be of type int, got:? float|"
    r"must be int(?:eger)?,? (?:but got|not) float|takes \d+ positional arguments? but \d+|"
    r"invalid combination of arguments - got \([^)]*\bfloat\b"
)
_ELEMENTS = re.compile(
    r"np\.ndarray of type numpy\.(?P<array>\w+)\.|Could not infer dtype of (?P<value>\w+)|"
    r"too many dimensions '(?P<text>\w+)'"
)


@dataclass(frozen=True, slots=True)
class UnfitValue:
    """A value, as a rule says it."""

    headline: str
    label: str
    expected: str
    got: str
    site: Site | None = None
    related: tuple[Related, ...] = ()
    fixes: tuple[Fix, ...] = ()


def unfit_value_of(call: FailedCall, message: str) -> UnfitValue | None:
    """The value that is refused; None where the message is about something else.

    >>> call = FailedCall("zeros", "operation", settings=(Setting("0", 4.0), Setting("1", 2)))
    >>> unfit_value_of(call, "zeros() takes 1 positional argument but 2 were given").headline
    '`zeros` got 4.0, a float, as a size'
    """
    if _SIZES.search(message):
        number = next((found for setting in call.settings for found in _floats(setting)), None)
        return _size(call, *number) if number is not None and call.kind == "operation" else None
    told = _ELEMENTS.search(message)
    return _element(call, str(told.lastgroup), told[str(told.lastgroup)]) if told is not None else None


def _floats(setting: Setting) -> Iterator[tuple[Setting, float]]:
    values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
    yield from ((setting, value) for value in values if isinstance(value, float))


def _size(call: FailedCall, setting: Setting, value: float) -> UnfitValue:
    code = setting.site.code if setting.site is not None else ""
    whole = floored(code) if code and not isinstance(setting.value, tuple) else ""
    return UnfitValue(
        f"`{call.function}` got {value}, a float, as a size",
        label=f"{value}, a float",
        expected="int",
        got=f"float {value}",
        site=setting.site,
        related=written(setting.lineage, value),
        fixes=(Fix(whole, (ChangeSetting(setting.name, int(value)),)),) if whole else (),
    )


def _element(call: FailedCall, kind: str, name: str) -> UnfitValue:
    """What was to become a tensor holds something that is no number."""
    if kind == "array":
        array = next((each for each in call.others if each.meta is not None), None)
        dtype = name.removesuffix("_")
        spelled = short(array.spelled) if array is not None else "array"
        got = array.meta.notation if array is not None and array.meta is not None else dtype
        headline = f"`{spelled}` is a NumPy array of {dtype}, which no tensor can hold"
        return UnfitValue(headline, got, "numbers", got, array.site if array is not None else None)
    found = next((place for setting in call.settings for place in _places(setting, name)), None)
    holder, site = found or (f"`{call.function}`", None)
    verb = "is" if found is not None else "got"
    return UnfitValue(f"{holder} {verb} {_article(name)}, which no tensor can hold", name, "numbers", name, site)


def _places(setting: Setting, kind: str) -> Iterator[tuple[str, Site | None]]:
    """Which element of a plain list is of this class, by the expression that reaches it."""
    if setting.site is None:
        return
    code = short(setting.site.code)
    values = setting.value if isinstance(setting.value, tuple) else ()
    if type(setting.value).__name__ == kind:
        yield f"`{code}`", setting.site
    is_name = code.replace(".", "").isidentifier()
    for index, value in enumerate(values):
        if type(value).__name__ == kind:
            yield f"`{code}[{index}]`" if is_name else f"element {index} of `{code}`", setting.site


def _article(kind: str) -> str:
    return "None (NoneType)" if kind == "NoneType" else f"a {kind}"

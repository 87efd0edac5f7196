"""Numbers and the ranges of dtypes in words."""

from tensorcheck.events.numbers import NumbersChanged

_LIMITS = {
    "uint8": "0 to 255",
    "int8": "-128 to 127",
    "int16": "-32768 to 32767",
    "int32": "-2147483648 to 2147483647",
    "float16": "-65504 to 65504",
}


def limits(dtype: str) -> str:
    """The range of a dtype.

    >>> limits("int8")
    '-128 to 127'
    """
    return _LIMITS.get(dtype, "its own range")


def written(number: float) -> str:
    """A number as short as it can be told from others.

    >>> written(-128.0), written(0.6666667), written(70000.0)
    ('-128', '0.6667', '70000')
    """
    return str(int(number)) if number == number // 1 and abs(number) < _EXACT else f"{number:.4g}"


_EXACT = 2**53


def became(event: NumbersChanged) -> str:
    """What a number became, and how many did.

    >>> from tensorcheck.sites import Site
    >>> site = Site("train.py", 1, 1, 5, "x")
    >>> event = NumbersChanged(0, "uint8", "uint8", changed=3, count=8, first=-28, became=228, lowest=-28, highest=9,
    ...     site=site)
    >>> became(event)
    '-28 became 228    3 of 8 numbers'
    """
    return (
        f"{written(event.first)} became {written(event.became)}    {event.changed} of {event.count} "
        f"{'number' if event.count == 1 else 'numbers'}"
    )

"""Reads and matches shape strings such as `batch 3 h w`.

The language is that of jaxtyping (https://docs.kidger.site/jaxtyping/api/array/), so that its users know it already.
Two of its words are not taken: `?name`, which is about trees of tensors, and `{...}`, which reads variables of the
function around it.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tensorcheck.specs.arithmetic import Expression, NoArithmeticError
from tensorcheck.specs.dims import Computed, Dim, Fixed, Ignored, Named, Several

Sizes = Mapping[str, int | tuple[int, ...]]
"""How large what has a name is: a number, or several for a name after a star."""


class SpecError(ValueError):
    """A shape string, a dtype or a device that can't be read; the message shows where."""

    def __init__(self, why: str, text: str = "", place: int = 0) -> None:
        super().__init__(f"{why}\n  {text}\n  {' ' * place}^" if text else why)
        self.why = why


_PLAIN: Mapping[type, Callable[[Any], int | str | Dim | None]] = MappingProxyType(
    {
        Fixed: lambda dim: dim if dim.broadcasts else dim.size,
        Named: lambda dim: dim if dim.broadcasts else dim.name,
        Ignored: lambda _: None,
    }
)


@dataclass(frozen=True, slots=True)
class ShapeSpec:
    """The dims of a tensor.

    >>> str(read_shape("batch  3 h=8 ..."))
    'batch 3 h=8 ...'
    """

    dims: tuple[Dim, ...]
    _plain: tuple[int | str | None, ...] | None = field(init=False, repr=False, compare=False)
    """The same as plain values, where there are none but numbers, names and `_`: most specs, and checked fastest."""

    def __post_init__(self) -> None:
        plain = [_PLAIN[type(dim)](dim) if type(dim) in _PLAIN else dim for dim in self.dims]
        is_plain = not any(isinstance(word, Dim) for word in plain)
        object.__setattr__(self, "_plain", tuple(plain) if is_plain else None)  # it is frozen for everybody else

    def __str__(self) -> str:
        return " ".join(map(str, self.dims))

    def fits(self, shape: Sequence[int], sizes: dict[Any, Any]) -> bool:
        """Whether a shape is so; sizes that were not known are learned, unless it is not.

        >>> read_shape("batch batch").fits((8, 8), {}), read_shape("batch batch").fits((8, 7), {})
        (True, False)
        """
        if self._plain is None:
            return match_shape(self, shape, sizes) is None
        if len(shape) != len(self._plain):
            return False
        learned = sizes.copy()
        for word, size in zip(self._plain, shape, strict=True):
            if word is not None and word != size and (type(word) is int or learned.setdefault(word, size) != size):
                return False
        sizes.update(learned)
        return True

    @property
    def names(self) -> tuple[str, ...]:
        """What has a size of its own here, each once; a name after a star without the star."""
        return tuple(dict.fromkeys(dim.name for dim in self.dims if isinstance(dim, Named | Several) and dim.name))

    @property
    def several(self) -> int | None:
        """Where the word stands that is any number of dims."""
        return next((index for index, dim in enumerate(self.dims) if isinstance(dim, Several)), None)


@dataclass(frozen=True, slots=True)
class ShapeMismatch:
    """Why a shape is not as it should be.

    >>> match_shape(read_shape("batch 3"), (8, 4), {})
    ShapeMismatch(why='dim 1 is 4 and should be 3', dim=1)
    """

    why: str
    dim: int | None = None
    """Counted from 0; None where the number of dims is wrong."""


@functools.lru_cache(maxsize=1024)
def read_shape(text: str) -> ShapeSpec:
    """Read a shape string; a `SpecError` shows the word that can't be one.

    >>> read_shape("batch 3, 4")
    Traceback (most recent call last):
    tensorcheck.specs.shape_strings.SpecError: dims are separated by spaces, not by commas
      batch 3, 4
            ^
    """
    found: list[Dim] = []
    for word in re.finditer(r"\S+", text):
        try:
            dim = _read(word[0])
        except (NoArithmeticError, SpecError) as error:
            raise SpecError(str(error), text, word.start()) from None
        if isinstance(dim, Several) and any(isinstance(other, Several) for other in found):
            why = "only one word may stand for any number of dims"
            raise SpecError(why, text, word.start())
        found.append(dim)
    return ShapeSpec(tuple(found))


_WORD = re.compile(r"(?P<marks>[#*_?]*)(?:(?P<note>\w+)=)?(?P<marks_within>[#*_?]*)(?P<what>[^=]*)")


def _read(word: str) -> Dim:
    if word == "...":
        return Several()
    if "..." in word:
        why = f"'...' stands alone, not within {word!r}"
        raise SpecError(why)
    if "," in word and "(" not in word:
        why = "dims are separated by spaces, not by commas"
        raise SpecError(why)
    match = _WORD.fullmatch(word)
    if match is None:
        why = f"{word!r} is no dim: it is a number, a name, name=number, '_', '...' or arithmetic of names"
        raise SpecError(why)
    return _dim(match["marks"] + match["marks_within"], match["note"] or "", match["what"], word)


def _dim(marks: str, note: str, what: str, word: str) -> Dim:
    if len(set(marks)) < len(marks):
        why = f"{word!r} has the same mark twice"
        raise SpecError(why)
    if "?" in marks:
        why = f"{word!r}: '?' is about trees of tensors, and is not known here"
        raise SpecError(why)
    if what.isidentifier() or not what:
        return _of_name(marks, what, word)
    if "*" in marks or "_" in marks:
        why = f"{word!r}: only a name can have the mark {'*' if '*' in marks else '_'!r}"
        raise SpecError(why)
    if re.fullmatch(r"-?\d+", what):
        return Fixed(int(what), note, broadcasts="#" in marks)
    return Computed(Expression.read(what), broadcasts="#" in marks)


def _of_name(marks: str, name: str, word: str) -> Dim:
    broadcasts = "#" in marks
    if "_" in marks:
        if broadcasts:
            why = f"{word!r}: a dim of any size needs no '#'"
            raise SpecError(why)
        return Several() if "*" in marks else Ignored(name)
    if not name:
        why = f"{word!r} lacks a name"
        raise SpecError(why)
    return Several(name, broadcasts) if "*" in marks else Named(name, broadcasts)


def match_shape(spec: ShapeSpec, shape: Sequence[int], sizes: dict[str, int | tuple[int, ...]]) -> ShapeMismatch | None:
    """Why a shape is not as the spec has it, or None; sizes that were not known are learned, unless it is not.

    >>> sizes = {}
    >>> match_shape(read_shape("batch 3 h h"), (8, 3, 5, 5), sizes), sizes
    (None, {'batch': 8, 'h': 5})
    >>> match_shape(read_shape("batch h/2"), (8, 2), sizes)
    ShapeMismatch(why="dim 1 is 2 and should be h/2, and 'h' is 5", dim=1)
    """
    learned = dict(sizes)
    mismatch = _first_mismatch(spec, shape, learned)
    if mismatch is None:
        sizes.update(learned)
    return mismatch


def _first_mismatch(
    spec: ShapeSpec, shape: Sequence[int], sizes: dict[str, int | tuple[int, ...]]
) -> ShapeMismatch | None:
    places = _places(spec, len(shape))
    if places is None:
        return ShapeMismatch(_of_rank(spec, len(shape)))
    later = []
    for dim, place in zip(spec.dims, places, strict=True):
        if isinstance(dim, Computed):
            later.append((dim, place))
        elif mismatch := _one(dim, place, shape, sizes):
            return mismatch
    return next((found for dim, place in later if (found := _one(dim, place, shape, sizes))), None)


def _places(spec: ShapeSpec, rank: int) -> list[range] | None:
    """Which dims of the tensor each word stands for; None where their number can't be."""
    several, words = spec.several, len(spec.dims)
    if several is None:
        return [range(index, index + 1) for index in range(words)] if rank == words else None
    width = rank - (words - 1)
    if width < 0:
        return None
    before = [range(index, index + 1) for index in range(several)]
    after = [range(index, index + 1) for index in range(several + width, rank)]
    return [*before, range(several, several + width), *after]


def _of_rank(spec: ShapeSpec, rank: int) -> str:
    least = len(spec.dims) - (spec.several is not None)
    wanted = f"at least {least}" if spec.several is not None else str(least)
    return f"it has {rank} {'dim' if rank == 1 else 'dims'} and should have {wanted}"


def _one(dim: Dim, place: range, shape: Sequence[int], sizes: dict[str, int | tuple[int, ...]]) -> ShapeMismatch | None:
    if isinstance(dim, Several):
        return _several(dim, place, shape, sizes)
    size, at = shape[place.start], place.start
    if isinstance(dim, Ignored) or (dim.broadcasts and size == 1):
        return None
    match dim:
        case Fixed(size=wanted):
            return None if size == wanted else ShapeMismatch(f"dim {at} is {size} and should be {wanted}", at)
        case Named(name=name):
            known = sizes.setdefault(name, size)
            if known == size:
                return None
            return ShapeMismatch(f"dim {at} is {size} and should be {name!r}, which is {_shown(known)}", at)
        case Computed():
            return _computed(dim, at, size, sizes)


def _several(
    dim: Several, place: range, shape: Sequence[int], sizes: dict[str, int | tuple[int, ...]]
) -> ShapeMismatch | None:
    if not dim.name:
        return None
    found = tuple(shape[place.start : place.stop])
    known = sizes.setdefault(dim.name, found)
    if isinstance(known, int):
        known = (known,)
    if dim.broadcasts:
        longer = _broadcast(known, found)
        if longer is not None:
            sizes[dim.name] = longer
            return None
    elif known == found:
        return None
    return ShapeMismatch(f"its dims {list(found)} should be {dim.name!r}, which is {_shown(known)}", place.start)


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that both are brought to, if they can be."""
    width = max(len(left), len(right))
    pairs = zip((1,) * (width - len(left)) + left, (1,) * (width - len(right)) + right, strict=True)
    both = [(one, other) for one, other in pairs]
    if any(one != other and 1 not in (one, other) for one, other in both):
        return None
    return tuple(other if one == 1 else one for one, other in both)


def _computed(dim: Computed, at: int, size: int, sizes: Mapping[str, int | tuple[int, ...]]) -> ShapeMismatch | None:
    single = {name: known for name, known in sizes.items() if isinstance(known, int)}
    told = "".join(f", and {name!r} is {single[name]}" for name in dim.expression.names if name in single)
    try:
        wanted = dim.expression.value(single)
    except KeyError as error:
        return ShapeMismatch(f"dim {at} should be {dim.expression}, and {error.args[0]!r} has no size yet", at)
    except ZeroDivisionError:
        return ShapeMismatch(f"dim {at} should be {dim.expression}, which divides by zero{told}", at)
    return None if wanted == size else ShapeMismatch(f"dim {at} is {size} and should be {dim.expression}{told}", at)


def _shown(size: int | tuple[int, ...]) -> str:
    return str(size if isinstance(size, int) else list(size))


def named_sizes(spec: ShapeSpec) -> Iterator[str]:
    """Every name whose size this spec needs or learns, those of its arithmetic included."""
    yield from spec.names
    for dim in spec.dims:
        if isinstance(dim, Computed):
            yield from dim.expression.names

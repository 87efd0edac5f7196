"""Which operand of a failed `einsum` has other dims than the letters of its equation say."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from tensorcheck.calls import FailedCall
from tensorcheck.fixes import Fix
from tensorcheck.knowledge.clashes import Clash
from tensorcheck.knowledge.parts import Part, parts_of
from tensorcheck.knowledge.reshaping import Shape, refits
from tensorcheck.wording import counted, first_that_fits, short

_ROOM = 22


def equation_clash_of(call: FailedCall, message: str) -> Clash | None:
    """What is wrong with the operands of an `einsum`; None for any other call."""
    equation = next((setting.value for setting in call.settings if isinstance(setting.value, str)), None)
    if call.function != "einsum" or not message.startswith("einsum()") or equation is None:
        return None
    parts, terms = parts_of(call), equation.replace(" ", "").split("->")[0].split(",")
    words, place = _told(message, parts)
    guilty = parts[place] if place < len(parts) else None
    known = [part.operand for part in parts if part.operand is not None]
    sides = (f"{term} for {short(part.spelled, _ROOM)}" for term, part in zip(terms, parts, strict=False))
    return Clash(
        _headline(words or f"{{equation}} is for {counted(len(terms), 'operand')} but got {len(parts)}", equation),
        f"{equation}    {', '.join(sides)}",
        tuple(sorted(known, key=lambda operand: guilty is None or operand is not guilty.operand)),
        fixes=tuple(_fixes(terms, parts)),
        site=guilty.site if guilty is not None else None,
    )


_MESSAGES: Mapping[str, str] = {
    r"subscript (?P<letter>\w) has size (?P<b>\d+) for operand (?P<place>\d+) .* previously seen size (?P<a>\d+)": (
        "`{letter}` of {equation} is {a}, but {b} in {name}"
    ),
    r"subscripts in the equation \((?P<a>\d+)\) .* dimensions \((?P<b>\d+)\) for operand (?P<place>\d+)": (
        "{equation} has {a} letters for {name}, which has {b} dims"
    ),
    r"subscript (?P<letter>\w) is repeated for operand (?P<place>\d+) .* match, (?P<a>\d+) != (?P<b>\d+)": (
        "`{letter}` of {equation} is both {a} and {b} in {name}"
    ),
    r"output subscript (?P<letter>\w) does not appear": "`{letter}` of {equation} is in the output and in no operand",
    r"output subscript (?P<letter>\w) appears more than once": "`{letter}` of {equation} stands twice in the output",
}


def _told(message: str, parts: Sequence[Part]) -> tuple[str, int]:
    """What the message tells, and which operand it is about."""
    for pattern, words in _MESSAGES.items():
        if (found := re.search(pattern, message)) is not None:
            facts = found.groupdict()
            place = int(facts.get("place", 0))
            name = f"`{short(parts[place].spelled, _ROOM)}`" if place < len(parts) else "an operand"
            return words.format(**facts, name=name, equation="{equation}"), place
    return "", 0


def _headline(words: str, equation: str) -> str:
    return first_that_fits(*(words.replace("{equation}", each) for each in (f"`{short(equation)}`", "the equation")))


def _fixes(terms: Sequence[str], parts: Sequence[Part]) -> Iterator[Fix]:
    """Edits of one operand after which each letter has one size."""
    shapes = [part.shape for part in parts]
    if len(terms) != len(parts) or _is_consistent(terms, shapes):
        return
    for place, part in enumerate(parts):
        if part.operand is not None:
            yield from refits(part.operand, _with(terms, shapes, place), flattening=False)


def _with(terms: Sequence[str], shapes: Sequence[Shape | None], place: int) -> Callable[[Shape], bool]:
    return lambda shape: _is_consistent(terms, [*shapes[:place], shape, *shapes[place + 1 :]])


def _is_consistent(terms: Sequence[str], shapes: Sequence[Shape | None]) -> bool:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if shape is None or "." in term:
            continue
        pairs = list(zip(term, shape, strict=False))
        if len(term) != len(shape) or any(sizes.setdefault(letter, size) != size for letter, size in pairs):
            return False
    return True

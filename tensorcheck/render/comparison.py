"""What came of comparing two runs, as text: the verdict, the first place where they part in both sources, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.comparing.comparison import HARMLESS, Aspect, Comparison, Parting, Place, Unmatched
from tensorcheck.render.frame import Frame
from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import pad, wrap
from tensorcheck.render.sentences import plural
from tensorcheck.sites import Site
from tensorcheck.trace import Operation

WIDTH = 100
_MOST = 8
"""How many lines of a kind are told."""
_UNFINGERPRINTED = "not compared: both runs need `--fingerprint`"


@dataclass(frozen=True, slots=True)
class Names:
    """What the two runs are called."""

    left: str = "first"
    right: str = "second"


def document(comparison: Comparison, names: Names | None = None, *, strict: bool = False) -> str:
    """The text, which ends with a newline.

    >>> print(document(Comparison(steps=(0,), operations=12, is_fingerprinted=True)), end="")
    same: 12 operations of step 0, and the values of 0 tensors
    """
    known = names or Names()
    lines = [_headline(comparison, strict=strict), *_runs(known), *_body(comparison, strict=strict)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _runs(names: Names) -> Iterator[str]:
    if names != Names():
        yield from (
            f" = {word} {harmless(name)}" for word, name in zip(_aligned(), (names.left, names.right), strict=True)
        )


def _aligned() -> tuple[str, str]:
    return "first: ", "second:"


def _headline(comparison: Comparison, *, strict: bool) -> str:
    if comparison.is_same(strict=strict):
        within = f" within {comparison.widest.relative:.2g} of the rms" if comparison.widest is not None else ""
        operations = f"{plural(comparison.operations, 'operation')} of {_steps(comparison.steps)}"
        values = f", and the values of {plural(comparison.values, 'tensor')}" if comparison.is_fingerprinted else ""
        return f"same{within}: {operations}{values}"
    first = next(comparison.counted(strict=strict))
    if isinstance(first, Parting):
        return f"different: {first.aspect} {_verb(first.aspect)} first in step {first.step}, at {_title(first.left)}"
    return f"different: only the {_side(first)} has {_what(first)}, in step {first.step}"


def _verb(aspect: Aspect) -> str:
    return "part" if aspect is Aspect.VALUES else "parts"


def _steps(steps: Sequence[int]) -> str:
    return f"{'step' if len(steps) == 1 else 'steps'} {', '.join(map(str, steps))}"


def _side(each: Unmatched) -> str:
    return "first" if each.is_left else "second"


def _what(each: Unmatched) -> str:
    return harmless(f"a gradient of `{each.what}`" if each.is_gradient else _called(each.what))


def _called(what: Operation | str) -> str:
    if isinstance(what, str) or not what.module:
        return f"`{what if isinstance(what, str) else what.name}`"
    again = f", call {what.call + 1}" if what.call else ""
    return f"`{what.name}` in `{what.module}` ({what.kind}{again})"


def _title(place: Place) -> str:
    if place.operation is None:
        return harmless(f"the gradient of `{place.value.name}`")
    name = f"`{place.value.name}`" if place.value.name else "an input"
    if place.is_read:
        return harmless(f"{name}, which {_called(place.operation)} reads")
    if place.value.name:
        return harmless(f"{name} after {_called(place.operation)}")
    return harmless(_called(place.operation))


def _body(comparison: Comparison, *, strict: bool) -> Iterator[str]:
    shown = next(comparison.counted(strict=strict), None)
    match shown:
        case Parting():
            yield from _parting(shown)
        case Unmatched(what=Operation(site=Site() as site)):
            yield from _source(_side(shown), site)
    yield from _others(comparison, shown)
    yield from _unmatched(comparison, shown)
    yield from _structure(comparison)
    yield from _seen(comparison)


def _parting(parting: Parting) -> Iterator[str]:
    sites = [place.operation.site if place.operation else None for place in (parting.left, parting.right)]
    for word, site in zip(("first", "second"), sites, strict=True):
        if site is not None:
            yield from _source(word, site)
    rows = [_told(place) for place in (parting.left, parting.right)]
    width = max(len(meta) for meta, _ in rows)
    for word, (meta, values) in zip(_aligned(), rows, strict=True):
        yield f" = {word} {pad(harmless(meta), width)}   {values}"
    if parting.tolerance is not None:
        apart = f"{parting.distance:.2g} of the rms; the tolerance is {parting.tolerance}"
        yield from _field("apart:", [apart])
    for note in parting.notes:
        yield from _field("note:", [note])


def _source(word: str, site: Site) -> Iterator[str]:
    inside = f", in {site.function}" if site.function else ""
    yield f"  --> {word}: {harmless(f'{site}{inside}')}"
    if site.source:
        frame = Frame.of(site).fitted(WIDTH - len(str(site.line)) - 3)
        yield f"{site.line} | {frame.text}"
        if frame.guilty:
            yield f"{'':{len(str(site.line))}} | {' ' * frame.offset}{'^' * frame.length}"


def _told(place: Place) -> tuple[str, str]:
    fingerprint = place.value.fingerprint
    return str(place.value.meta), fingerprint.text if fingerprint is not None else ""


def _field(name: str, lines: Sequence[str]) -> Iterator[str]:
    start = f" = {name} "
    for line in lines:
        first, *rest = wrap(harmless(line), WIDTH - len(start))
        yield f"{start}{first}"
        yield from (f"{'':{len(start)}}{more}" for more in rest)


def _others(comparison: Comparison, shown: Parting | Unmatched | None) -> Iterator[str]:
    """Where the other aspects part first, and how often each does."""
    for first in comparison.first_of_each():
        count = sum(parting.aspect is first.aspect for parting in comparison.partings)
        if first is shown:
            if count > 1:
                yield from _field(
                    "after:", [f"{plural(count - 1, 'more place')} where {first.aspect} {_verb(first.aspect)}"]
                )
            continue
        agree = ", and the values agree" if first.aspect in HARMLESS and _agrees(comparison) else ""
        yield from _field(f"{first.aspect}:", [f"{_pair(first)} in {plural(count, 'place')}{agree}; {_where(first)}"])


def _agrees(comparison: Comparison) -> bool:
    return comparison.is_fingerprinted and not any(each.aspect is Aspect.VALUES for each in comparison.partings)


def _pair(parting: Parting) -> str:
    one, two = parting.left.value.meta, parting.right.value.meta
    match parting.aspect:
        case Aspect.DTYPE:
            return f"{one.dtype} and {two.dtype}"
        case Aspect.DEVICE:
            return f"{one.device} and {two.device}"
        case Aspect.REQUIRES_GRAD:
            return f"{one.requires_grad} and {two.requires_grad}"
        case Aspect.SHAPE:
            return f"{one.notation} and {two.notation}"
        case Aspect.VALUES:
            return f"{parting.distance:.2g} of the rms apart"


def _where(parting: Parting) -> str:
    return f"first in step {parting.step}, at {_title(parting.left)}"


def _unmatched(comparison: Comparison, shown: Parting | Unmatched | None) -> Iterator[str]:
    """What one run alone has, each once however many steps have it."""
    others = (each for each in comparison.unmatched if each is not shown)
    found = [(f"only {_side(each)}:", f"{_what(each)}{_at(each)}") for each in others]
    counts = {one: found.count(one) for one in found}
    for name, text in list(counts)[:_MOST]:
        times = f", in {counts[name, text]} places" if counts[name, text] > 1 else ""
        yield from _field(name, [f"{text}{times}"])
    if len(counts) > _MOST:
        yield from _field("only one:", [f"{len(counts) - _MOST} more"])


def _at(each: Unmatched) -> str:
    return f", {each.what.site}" if isinstance(each.what, Operation) and each.what.site is not None else ""


def _structure(comparison: Comparison) -> Iterator[str]:
    for one, two in comparison.renames[:_MOST]:
        yield from _field("renamed:", [f"`{one}` is `{two}` in the second"])
    for change in comparison.settings[:_MOST]:
        title = f"`{change.path}` ({change.kind})" if change.path else f"the model ({change.kind})"
        told = f"{change.left or 'nothing'} in the first, {change.right or 'nothing'} in the second"
        yield from _field("settings:", [f"{title}: {told}"])


def _seen(comparison: Comparison) -> Iterator[str]:
    for each in comparison.environments:
        yield from _field("runs on:", [each])
    for word, steps in (("first", comparison.only_left), ("second", comparison.only_right)):
        if steps:
            yield from _field("steps:", [f"only the {word} traced {_steps(steps)}"])
    if not comparison.is_fingerprinted:
        yield from _field("values:", [_UNFINGERPRINTED])
    elif comparison.widest is not None and _agrees(comparison):
        yield from _field("tolerance:", [f"at most {comparison.widest}"])
    if comparison.undecided and _agrees(comparison):
        yield from _field("untold:", [f"{plural(comparison.undecided, 'tensor')} that rounding alone may have changed"])

"""How well the gallery's mistakes are found: `python -m tests.gallery.score [part of a name …]`.

A mistake is detected where a finding has the code and the severity that the truth names, located where that finding's
place or one of its related places is the line on which the mistake was made, explained where its text holds all the
words of the truth, and its fix tried where it says so. A false alarm is any error or warning on the fixed form.
"""

import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gallery.exhibits import Exhibit, Run, load_exhibits, run

_SIDE_BY_SIDE = 2


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one exhibit."""

    exhibit: Exhibit
    detected: bool
    located: bool
    explained: bool
    tried: bool
    false_alarms: tuple[str, ...]
    infos: int
    missing: tuple[str, ...]
    """The words of the truth that the explanation does not hold."""


def score(exhibit: Exhibit, buggy: Run, fixed: Run | None) -> Score:
    """Compare what was found with the truth."""
    found = [pair for pair in zip(buggy.findings, buggy.texts, strict=True) if _is_it(pair[0], exhibit)]
    missing = min(([word for word in exhibit.words if word not in text] for _, text in found), key=len, default=[])
    loud = [finding for finding in (fixed.findings if fixed else ()) if finding["severity"] != "info"]
    quiet = [finding for finding in (fixed.findings if fixed else ()) if finding["severity"] == "info"]
    return Score(
        exhibit,
        detected=bool(found),
        located=any(_is_at_root(finding, exhibit) for finding, _ in found),
        explained=bool(found) and not missing,
        tried=any(finding["tried"] for finding, _ in found),
        false_alarms=tuple(f"{finding['rule']}: {finding['headline']}" for finding in loud),
        infos=len(quiet),
        missing=tuple(missing),
    )


def _is_it(finding: dict[str, Any], exhibit: Exhibit) -> bool:
    return (finding["rule"], finding["severity"]) == (exhibit.rule, exhibit.severity)


def _is_at_root(finding: dict[str, Any], exhibit: Exhibit) -> bool:
    lines = [line.strip() for line in exhibit.source("buggy").splitlines()]
    root = lines.index(exhibit.root) + 1
    places = [place for place in (finding["location"], *finding["related"]) if place is not None]
    return any(place["line"] == root and place["file"].endswith("buggy.py") for place in places)


def scores(exhibits: Iterable[Exhibit]) -> list[Score]:
    """Run both forms of each, two at a time."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return list(pool.map(_scored, exhibits))


def _scored(exhibit: Exhibit) -> Score:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        return score(exhibit, run(exhibit, "buggy", Path(first)), run(exhibit, "fixed", Path(second)))


def table(all_scores: Sequence[Score]) -> str:
    """One line a category, and what went wrong."""
    categories = dict.fromkeys(each.exhibit.category for each in all_scores)
    rows = [_row(name, [each for each in all_scores if each.exhibit.category == name]) for name in categories]
    head = ("category", "exhibits", "detected", "located", "explained", "fix tried", "false alarms", "infos")
    lines = [head, *rows, _row("all", all_scores)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, *_notes(all_scores)])


def _row(name: str, some: Sequence[Score]) -> tuple[str, ...]:
    counts = [len(some), *(sum(getattr(each, what) for each in some) for what in ("detected", "located", "explained"))]
    counts += [sum(each.tried for each in some), sum(len(each.false_alarms) for each in some)]
    return (name, *map(str, counts), str(sum(each.infos for each in some)))


def _notes(all_scores: Sequence[Score]) -> Iterable[str]:
    for each in all_scores:
        if not each.detected:
            yield f"not detected: {each.exhibit.name} ({each.exhibit.rule})"
        elif not each.located:
            yield f"not located:  {each.exhibit.name} ({each.exhibit.rule}): {each.exhibit.root}"
        if each.missing:
            yield f"not said:     {each.exhibit.name} ({each.exhibit.rule}): {', '.join(each.missing)}"
        yield from (f"false alarm:  {each.exhibit.name}: {alarm}" for alarm in each.false_alarms)


if __name__ == "__main__":
    wanted = [each for each in load_exhibits() if not sys.argv[1:] or any(part in each.name for part in sys.argv[1:])]
    sys.stdout.write(table(scores(wanted)) + "\n")

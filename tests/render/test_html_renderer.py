"""Records as a page, and as a notebook's fragment."""

import re
import unicodedata
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings

import tensorcheck.render
from tensorcheck.record import Record
from tensorcheck.render.harmless import harmless
from tensorcheck.render.html import document, html_fragment
from tests import strategies
from tests.conftest import Golden
from tests.render import samples

STYLE = Path(tensorcheck.render.__path__[0], "templates", "report.css").read_text("utf-8")
VOID = {"meta", "br", "!doctype"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "article"),
    *("h1", "h2", "h3", "h4", "p", "pre", "code", "mark", "strong", "span", "div", "a"),
    *("ol", "ul", "li", "dl", "dt", "dd"),
}


class Outline(HTMLParser):
    """The tags, attributes and text of a page; tags have to be balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_reads_as_its_golden_file(golden: Golden) -> None:
    golden("report.html", _without_style(document(samples.RECORD)))


def test_a_page_without_findings_says_what_was_looked_at(golden: Golden) -> None:
    golden("report_clean.html", _without_style(document(samples.CLEAN)))


def test_a_notebook_fragment_reads_as_its_golden_file(golden: Golden) -> None:
    golden("fragment.html", _without_style(html_fragment(samples.RECORD)))


@settings(max_examples=50)
@given(strategies.records())
def test_no_name_becomes_markup(record: Record) -> None:
    outline = Outline(document(record))
    assert set(outline.tags) <= ALLOWED
    assert outline.open == []
    assert [name for name, _ in outline.attributes if name.startswith("on")] == []


@settings(max_examples=50)
@given(strategies.records())
def test_every_headline_can_be_read(record: Record) -> None:
    text = Outline(document(record)).text.replace("`", "")
    assert [found for found in record.findings if harmless(found.headline).replace("`", "") not in text] == []


@settings(max_examples=50)
@given(strategies.records())
def test_nothing_that_is_obeyed_and_not_shown_gets_through(record: Record) -> None:
    page = document(record).replace("\n", "")
    obeyed = {"Cc", "Cs", "Zl", "Zp"}
    assert not {character for character in page if unicodedata.category(character) in obeyed}
    assert "\u202e" not in page


def test_escape_sequences_are_written_out() -> None:
    page = document(Record("0.1.0", command="run \x1b[2J", findings=(samples.HOSTILE,)))
    assert "run \\x1b[2J" in page
    assert "\\x1b[31mred" in page


@pytest.mark.parametrize("page", [document(samples.RECORD), html_fragment(samples.RECORD)], ids=["page", "fragment"])
def test_nothing_is_fetched(page: str) -> None:
    outline = Outline(page)
    assert {"script", "link", "img", "iframe"} & set(outline.tags) == set()
    assert [value for name, value in outline.attributes if name in {"src", "href"} and not value.startswith("#")] == []
    assert "url(" not in page
    assert "@import" not in page


def test_a_page_has_its_landmarks_and_one_first_heading() -> None:
    tags = Outline(document(samples.RECORD)).tags
    assert {"header", "nav", "main", "section"} <= set(tags)
    assert tags.count("h1") == 1


def test_no_heading_leaves_a_level_out() -> None:
    levels = [int(tag[1]) for tag in Outline(document(samples.RECORD)).tags if re.fullmatch("h[1-6]", tag)]
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []


def test_every_link_and_label_has_its_target() -> None:
    attributes = Outline(document(samples.RECORD)).attributes
    ids = [value for name, value in attributes if name == "id"]
    wanted = {value.removeprefix("#") for name, value in attributes if name in {"href", "aria-labelledby"}}
    assert len(ids) == len(set(ids))
    assert wanted <= set(ids)


def test_the_style_touches_nothing_outside_the_report() -> None:
    rules = re.sub(r"@media[^{]*", "", re.sub(r"\{[^{}]*\}", "{}", STYLE))
    selectors = [part.strip(" \n{}") for part in re.split(r"[,{}]", rules)]
    assert [part for part in selectors if part and not part.startswith(".tensorcheck")] == []


TEXT = ("ink", "quiet", "error", "warning", "info", "help")
PAIRS = [
    *product(TEXT, ("ground", "card")),
    *(("ink", f"{tone}-tint") for tone in ("error", "warning", "info", "help")),
    *((tone, f"{tone}-tint") for tone in ("error", "warning", "info", "help")),
    *((tone, "inset") for tone in ("ink", "quiet", "error", "warning", "info")),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(text: str, ground: str, scheme: int) -> None:
    lighter, darker = sorted((_luminance(text, scheme), _luminance(ground, scheme)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def _luminance(name: str, scheme: int) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    colour = re.findall(rf"--tc-{name}: #([0-9a-f]{{6}});", STYLE)[scheme]
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _without_style(page: str) -> str:
    return re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)

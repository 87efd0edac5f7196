"""Records as Markdown, read back with GitHub's own parser."""

import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings

from tensorcheck.record import Record
from tensorcheck.render.harmless import harmless
from tensorcheck.render.markdown import document
from tests import strategies
from tests.conftest import Golden
from tests.render import samples

ALLOWED = {"h2", "h3", "p", "ul", "li", "code", "pre", "hr"}
READ_LATER = re.compile(r"@\w|#\d|\$\S|\bGH-\d", re.IGNORECASE)
"""What GitHub makes a mention, a reference or a formula of, in text that is not code."""


class Read(HTMLParser):
    """What Markdown makes of a page: its tags, its attributes, its text, and that of its text that is no code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.prose: list[str] = []
        self.comments: set[str] = set()
        self.feed(cmarkgfm.github_flavored_markdown_to_html(page, options=Options.CMARK_OPT_UNSAFE))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.add(data)

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" not in self.open:
            self.prose.append(data)


def headlines(record: Record) -> list[str]:
    return [_plain(harmless(finding.headline)) for finding in record.findings]


def _plain(text: str) -> str:
    """As it can be compared: spans of code drop a space at their ends, and paragraphs those at theirs."""
    return re.sub(r"[` ]+", "", text)


def test_a_report_reads_as_its_golden_file(golden: Golden) -> None:
    golden("report.md", document(samples.RECORD))


def test_a_report_without_findings_says_what_was_looked_at(golden: Golden) -> None:
    golden("report_clean.md", document(samples.CLEAN))


def test_hostile_names_read_as_their_golden_file(golden: Golden) -> None:
    golden("report_hostile.md", document(Record("0.1.0", findings=(samples.HOSTILE,))))


@settings(max_examples=200)
@given(strategies.records())
def test_no_name_becomes_markup(record: Record) -> None:
    read = Read(document(record))
    assert {*read.tags} <= ALLOWED
    assert {name for name, _ in read.attributes} <= {"lang", "class"}
    assert read.comments <= {" "}
    assert read.open == []


@settings(max_examples=100)
@given(strategies.records())
def test_every_headline_can_be_read(record: Record) -> None:
    text = _plain(Read(document(record)).text)
    assert [headline for headline in headlines(record) if headline not in text] == []


@pytest.mark.parametrize(
    "hostile",
    [
        "ping @octocat and #1 and GH-12 and octo/repo#3",
        "see https://example.com or www.example.com or a@example.com",
        "costs $x^2$ and $$y$$",
        "[link](https://example.com) ![image](https://example.com/x.png) [ref][1]",
        "<b>bold</b> <!-- gone --> <https://example.com> &lt;",
        "**strong** _em_ ~~gone~~ # title | cell",
        "a`b``c```d",
        "`` ` ``",
        "a` [link](https://example.com) <b>bold</b> `b",
        "`x` [link](https://example.com)",
        "```\n# A heading\n[link](https://example.com)",
        "\n\n# A heading\n\n- an item\n```\nfence",
        "trailing \\",
    ],
)
@pytest.mark.parametrize("field", ["headline", "label", "expected", "got", "help", "notes", "path"])
def test_a_text_made_to_inject_is_text_in_every_field(field: str, hostile: str) -> None:
    value = (hostile,) if field in {"notes", "path"} else hostile
    read = Read(document(Record("0.1.0", findings=(replace(samples.WRONG_FEATURES, **{field: value}),))))  # type: ignore[arg-type] # each field has its own type
    assert {*read.tags} <= ALLOWED
    assert [text for text in read.prose if READ_LATER.search(text)] == []
    lines = hostile.split("\n") if field in {"help", "notes"} else [harmless(hostile)]
    assert [line for line in lines if _plain(line) not in _plain(read.text)] == []


@settings(max_examples=50)
@given(strategies.records())
def test_nothing_that_is_obeyed_and_not_shown_gets_through(record: Record) -> None:
    page = document(record).replace("\n", "")
    assert not {character for character in page if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}}
    assert "\u202e" not in page


def test_the_expression_is_underlined_beside_its_label() -> None:
    page = document(Record("0.1.0", findings=(samples.WRONG_FEATURES,)))
    source, carets = (line for line in page.splitlines() if re.match(r" *\d* \| ", line))
    assert carets.index("^") == source.index("self.flat(features)")
    assert carets.endswith("^ float32[32, 3136] cpu, grad")

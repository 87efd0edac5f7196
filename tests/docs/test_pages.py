"""Every Python block and every shell command, in the README and in the documentation, does what the page says."""

from pathlib import Path

import pytest

from tests.docs.pages import run_page

CHECKOUT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(page.relative_to(CHECKOUT)) for page in CHECKOUT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_shows_is_what_happens(page: str, tmp_path: Path) -> None:
    for output in run_page((CHECKOUT / page).read_text(encoding="utf-8"), tmp_path):
        assert output.is_true, f"{page}:{output.line} says\n{output.said}\nand this is printed:\n{output.printed}"


def test_a_page_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    page = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n\n```console\n$ echo a\nb\n$ echo c\nc\n```\n"
    assert [output.is_true for output in run_page(page, tmp_path)] == [False, False, True]

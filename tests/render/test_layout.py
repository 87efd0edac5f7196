"""Text laid out in a terminal's cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tensorcheck.render.frame import Frame
from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import align, clip_end, clip_start, wrap
from tensorcheck.sites import Site
from tests import strategies


@given(strategies.texts())
def test_harmless_text_is_left_alone(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize("text", ["plain", "模型", "e\u0301", "👩\u200d👧", "naïve «quoted»"])
def test_what_people_write_is_harmless(text: str) -> None:
    assert harmless(text) == text


@given(strategies.texts().map(harmless), st.integers(2, 60))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


@given(strategies.texts().map(harmless), st.integers(20, 60))
def test_wrapped_lines_fit(text: str, width: int) -> None:
    assert max(map(cell_len, wrap(text, width))) <= width


def test_wide_words_are_wrapped_by_their_cells() -> None:
    assert wrap("模型 模型 模型", 10) == ["模型 模型", "模型"]


@given(strategies.texts().map(harmless), st.integers(0, 60))
def test_clipped_text_fits(text: str, width: int) -> None:
    assert cell_len(clip_end(text, width)) <= width
    assert cell_len(clip_start(text, width)) <= width


def test_rows_of_different_make_stay_as_they_are() -> None:
    assert align(["a  b -> c", "alone"]) == ["a  b -> c", "alone"]


def test_rows_that_are_aligned_stay_so() -> None:
    rows = ["conv     Conv2d  -> float32[2]", "flatten  Flatten -> float32[2]"]
    assert align(rows) == rows


@given(strategies.sites(), st.integers(20, 100))
def test_a_fitted_frame_fits(site: Site, width: int) -> None:
    assert cell_len(Frame.of(site).fitted(width).text) <= width


@given(strategies.sites())
def test_a_frame_holds_the_whole_line(site: Site) -> None:
    line = site.source.rstrip().lstrip()
    assert Frame.of(site).text == harmless(line.replace("\t", " " * 4))

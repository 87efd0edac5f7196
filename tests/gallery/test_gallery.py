"""The scripts of strangers: what is healthy stays silent, and each mistake is found where it was made."""

import ast
from pathlib import Path

import pytest

from tests.gallery.exhibits import Exhibit, load_exhibits, run, run_unwatched
from tests.gallery.score import score

EXHIBITS = pytest.mark.parametrize("exhibit", load_exhibits(), ids=lambda exhibit: exhibit.name)
NOT_LOCATED = {
    "shape_second_pool_skipped": "the mistake is a call that is missing; the view that hid it is named instead",
}


def test_there_are_many() -> None:
    assert len(load_exhibits()) >= 60


def test_at_least_95_of_100_mistakes_are_located() -> None:
    assert len(NOT_LOCATED) <= 0.05 * len(load_exhibits())


@EXHIBITS
def test_the_truth_names_one_line_that_the_fix_changes(exhibit: Exhibit) -> None:
    lines = [line.strip() for line in exhibit.source("buggy").splitlines()]
    assert lines.count(exhibit.root) == 1
    ast.parse(exhibit.source("buggy"))
    assert exhibit.source("buggy") != exhibit.source("fixed")


@EXHIBITS
def test_a_healthy_script_is_silent(exhibit: Exhibit, tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    (tmp_path / "plain").mkdir()
    result = run(exhibit, "fixed", tmp_path / "watched")

    assert result.error == ""
    assert result.steps > 0
    assert result.faults == ()
    assert [finding["headline"] for finding in result.findings if finding["severity"] != "info"] == []
    assert result.process == run_unwatched(exhibit, "fixed", tmp_path / "plain")


@EXHIBITS
def test_a_mistake_is_found_where_it_was_made(exhibit: Exhibit, tmp_path: Path) -> None:
    result = run(exhibit, "buggy", tmp_path)

    judged = score(exhibit, result, None)
    assert bool(result.error) is exhibit.crashes
    assert result.faults == ()
    assert judged.detected, result.texts
    assert judged.located is (exhibit.name not in NOT_LOCATED), result.texts

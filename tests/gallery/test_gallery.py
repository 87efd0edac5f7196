"""The scripts of strangers: what is healthy stays silent."""

import ast
from pathlib import Path

import pytest

from tests.gallery.exhibits import Exhibit, load_exhibits, run

EXHIBITS = pytest.mark.parametrize("exhibit", load_exhibits(), ids=lambda exhibit: exhibit.name)


def test_there_are_many() -> None:
    assert len(load_exhibits()) >= 60


@EXHIBITS
def test_the_truth_names_one_line_that_the_fix_changes(exhibit: Exhibit) -> None:
    lines = [line.strip() for line in exhibit.source("buggy").splitlines()]
    assert lines.count(exhibit.root) == 1
    ast.parse(exhibit.source("buggy"))
    assert exhibit.source("buggy") != exhibit.source("fixed")


@EXHIBITS
def test_a_healthy_script_is_silent(exhibit: Exhibit, tmp_path: Path) -> None:
    result = run(exhibit, "fixed", tmp_path)

    assert result.error == ""
    assert result.steps > 0
    assert result.faults == ()
    assert [finding["headline"] for finding in result.findings if finding["severity"] != "info"] == []


@EXHIBITS
def test_a_broken_script_ends_as_the_truth_says(exhibit: Exhibit, tmp_path: Path) -> None:
    result = run(exhibit, "buggy", tmp_path)

    assert bool(result.error) is exhibit.crashes
    assert result.faults == ()

"""The source lines of a report that was read back."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcheck.findings import Finding
from tensorcheck.record import Record
from tensorcheck.render.json import document, from_json
from tensorcheck.reread import lines_of, with_source
from tensorcheck.sites import Site
from tests import strategies
from tests.render.samples import FROZEN, LOSS_BROADCAST, UNPLACED


def read_back(finding: Finding, lines: list[str]) -> Finding:
    record = from_json(json.loads(document(Record("0.1.0", findings=(finding,)))))
    return with_source(record, lambda _: lines).findings[0]


def source_of(finding: Finding, lines: list[str]) -> str:
    site = read_back(finding, lines).site
    assert site is not None
    return site.source


def on_first_line(finding: Finding) -> Finding:
    assert finding.site is not None
    return replace(finding, site=replace(finding.site, line=1))


def test_a_line_that_holds_the_code_comes_back() -> None:
    assert LOSS_BROADCAST.site is not None
    line = LOSS_BROADCAST.site.source
    assert source_of(on_first_line(LOSS_BROADCAST), [line]) == line


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["    loss = loss_fn(pred, other)"],
        ["  loss = loss_fn(pred, price)"],
        ["# a new line", "    loss = loss_fn(pred, price)"],
    ],
)
def test_a_line_that_does_not_is_not_shown(lines: list[str]) -> None:
    assert source_of(on_first_line(LOSS_BROADCAST), lines) == ""


def test_a_place_without_columns_is_its_whole_line() -> None:
    assert source_of(on_first_line(FROZEN), ["  model.encoder.requires_grad_(False)"]).startswith("  model")
    assert source_of(on_first_line(FROZEN), ["  model.encoder.requires_grad_(False); step()"]) == ""


def test_the_first_line_of_a_longer_expression_comes_back() -> None:
    line = "loss = loss_fn("
    site = Site("train.py", 1, 8, len(line) + 1, code="loss_fn( pred, y, )")
    assert source_of(replace(LOSS_BROADCAST, site=site), [line]) == line
    assert source_of(replace(LOSS_BROADCAST, site=site), ["loss = loss_fn1"]) == ""


def test_a_place_without_code_shows_nothing() -> None:
    assert source_of(replace(LOSS_BROADCAST, site=Site("train.py", 1, 1, 4)), ["secret"]) == ""


def test_a_finding_without_a_place_stays_as_it_is() -> None:
    assert read_back(UNPLACED, ["x"]) == UNPLACED


@given(strategies.findings(), st.lists(strategies.codes(), max_size=3))
def test_nothing_but_the_source_line_changes_and_that_holds_the_code(finding: Finding, lines: list[str]) -> None:
    record = from_json(json.loads(document(Record("0.1.0", findings=(finding,)))))
    (before,), (after,) = record.findings, with_source(record, lambda _: lines).findings
    assert replace(after, site=before.site) == before
    if after.site and after.site.source:
        assert after.site.source == lines[after.site.line - 1]


def test_the_lines_of_a_file_are_read_in_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes("# coding: latin-1\nx = 'é'\n".encode("latin-1"))
    assert lines_of(str(tmp_path / "a.py")) == ["# coding: latin-1", "x = 'é'"]


def test_what_is_no_python_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PASSWORD=1\n")
    (tmp_path / "broken.py").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.py")
    for name in (".env", "broken.py", "pipe.py", "missing.py", "", "a\0.py"):
        assert lines_of(str(tmp_path / name)) == ()

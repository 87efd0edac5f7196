"""The report as its user meets it."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal, NoReturn

import pytest
from rich.console import Console

from tensorcheck.findings import Severity
from tensorcheck.render.html import document as html
from tensorcheck.render.json import from_json
from tensorcheck.render.text import document as text
from tensorcheck.render.text import render_report
from tensorcheck.report import FORMATS, SUFFIXES, Report
from tensorcheck.sites import Site
from tests.invariants import assert_valid_report
from tests.render import samples

REPORT = Report(samples.RECORD)


def test_a_report_counts_its_findings() -> None:
    assert REPORT.counts == {Severity.ERROR: 2, Severity.WARNING: 1, Severity.INFO: 1}
    assert REPORT.findings == samples.RECORD.findings


def test_printing_gives_plain_text() -> None:
    assert str(REPORT) + "\n" == text(samples.RECORD)


def test_rich_prints_in_colour_on_a_terminal() -> None:
    assert "\x1b[1;31merror[TCK201]\x1b[0m" in _printed(force_terminal=True, width=120)


def test_rich_prints_plain_text_elsewhere() -> None:
    assert _printed(force_terminal=False, width=120) == text(samples.RECORD)


def test_rich_lays_out_for_a_narrow_terminal() -> None:
    assert _printed(force_terminal=False, width=60) == render_report(samples.RECORD, width=60).plain + "\n"


def test_a_notebook_shows_html() -> None:
    assert "<article" in REPORT._repr_html_()


def test_a_report_is_saved_by_its_suffix(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        REPORT.save(tmp_path / f"report{suffix}")
    assert (tmp_path / "report.txt").read_text("utf-8") == text(samples.RECORD)
    assert (tmp_path / "report.html").read_text("utf-8") == html(samples.RECORD)
    assert_valid_report(json.loads((tmp_path / "report.json").read_bytes()))


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_is_rendered_by_the_name_of_a_format(form: str) -> None:
    assert REPORT.render(form).endswith("\n")


def test_a_format_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="the formats text, json, html, md, sarif, github, and no 'markdown'"):
        REPORT.render("markdown")


def test_every_suffix_has_a_format() -> None:
    assert {*SUFFIXES.values()} <= {*FORMATS}


def test_a_file_name_that_is_no_utf_8_comes_back(tmp_path: Path) -> None:
    unplaced = replace(samples.UNPLACED, site=Site("\udc80.py", line=1))
    Report(replace(samples.RECORD, findings=(unplaced,))).save(tmp_path / "report.json")
    assert from_json(json.loads((tmp_path / "report.json").read_bytes())).findings == (unplaced,)


def test_a_suffix_in_capitals_is_known(tmp_path: Path) -> None:
    REPORT.save(str(tmp_path / "REPORT.TXT"))
    assert (tmp_path / "REPORT.TXT").exists()


@pytest.mark.parametrize("name", ["report.doc", "report"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\.html, \.json, \.md, \.sarif or \.txt.*'{name}'"):
        REPORT.save(tmp_path / name)


def test_no_folder_is_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder of the report does not exist: '.*missing'"):
        REPORT.save(tmp_path / "missing" / "report.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")

    def fail(_: int) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        REPORT.save(target)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.txt", "old")]


def test_a_saved_report_may_be_read_by_whom_other_files_may(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    REPORT.save(tmp_path / "report.txt")
    assert (tmp_path / "report.txt").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_importing_the_report_starts_neither_torch_nor_a_renderer() -> None:
    question = "import sys, tensorcheck.report; print({'torch', 'rich', 'jinja2', 'numpy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def _printed(*, force_terminal: bool, width: int) -> str:
    colours: Literal["standard"] | None = "standard" if force_terminal else None
    console = Console(file=io.StringIO(), force_terminal=force_terminal, width=width, color_system=colours)
    console.print(REPORT)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()

"""`tensorcheck report`, as a person at a shell meets it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from tensorcheck.cli.main import main
from tensorcheck.record import Record
from tensorcheck.render.json import to_json
from tensorcheck.report import FORMATS, Report
from tests.render import samples

SOURCE = "\n" * 103 + "    loss = loss_fn(pred, price)  # the mean over the batch\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, in a project whose file still holds the code of one finding."""
    (tmp_path / "prices.py").write_text(SOURCE)
    (tmp_path / "run").mkdir()
    Report(samples.RECORD).save(tmp_path / "run" / "report.json")
    return tmp_path / "run"


def report(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tensorcheck", "report", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_printed(form: str, run: Path) -> None:
    answer = report(run.parent, "run", "--format", form)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "TCK202" in answer.stdout
    assert "\x1b" not in answer.stdout


def test_text_shows_the_line_that_still_holds_the_code_and_no_other(run: Path) -> None:
    shown = report(run.parent, "run").stdout
    assert "104 | loss = loss_fn(pred, price)" in shown
    assert "16 | return self.head" not in shown


def test_a_report_file_is_read_as_its_folder_is(run: Path) -> None:
    assert report(run.parent, "run/report.json").stdout == report(run.parent, "run").stdout


def test_sarif_explains_the_rules_of_the_catalogue(run: Path) -> None:
    log = json.loads(report(run.parent, "run", "--format", "sarif").stdout)
    described = {rule["id"]: rule for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert "## Use instead" in described["TCK202"]["help"]["markdown"]


def test_a_file_has_the_format_of_its_suffix_unless_another_is_named(run: Path) -> None:
    assert report(run.parent, "run", "--output", "a.md").stdout == ""
    report(run.parent, "run", "--output", "a.log", "--format", "md")
    assert (run.parent / "a.md").read_bytes() == (run.parent / "a.log").read_bytes()
    assert (run.parent / "a.md").read_text().startswith("## tensorcheck: 2 errors")


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """A browser that writes down what it was asked to show."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/shown"\n')
    script.chmod(0o755)
    return {"BROWSER": f"{script} %s"}


def test_open_makes_the_page_of_the_run_and_shows_it(run: Path, browser: dict[str, str]) -> None:
    answer = report(run.parent, "run", "--open", environment=browser)
    assert (answer.returncode, answer.stderr, answer.stdout) == (0, "", "")
    assert (run.parent / "shown").read_text() == f"{(run / 'report.html').as_uri()}\n"
    assert "loss_fn(pred, price)" in (run / "report.html").read_text()


def test_open_shows_the_page_that_the_run_made(run: Path, browser: dict[str, str]) -> None:
    (run / "report.html").write_text("made by the run")
    assert report(run.parent, "run", "--open", environment=browser).returncode == 0
    assert (run / "report.html").read_text() == "made by the run"


def test_open_with_an_output_shows_that(run: Path, browser: dict[str, str]) -> None:
    report(run.parent, "run", "--open", "--output", "page.html", environment=browser)
    assert (run.parent / "shown").read_text() == f"{(run.parent / 'page.html').as_uri()}\n"


def test_a_browser_that_does_not_start_is_an_error_that_names_the_page(run: Path) -> None:
    answer = report(run.parent, "run", "--open", environment={"BROWSER": "/missing %s", "PATH": "/missing"})
    assert answer.returncode == 2
    assert answer.stderr == "Error: no browser could be started; the report is run/report.html\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "Error: missing can't be read: No such file or directory"),
        (["."], "Error: report.json can't be read: No such file or directory"),
        (["prices.py"], "Error: prices.py is no JSON: "),
        (["run", "--output", "a.doc"], "is saved as .html, .json, .md, .sarif or .txt"),
        (["run", "--output", "missing/a.md"], "the folder of the report does not exist"),
        (["run", "--format", "xml"], "'xml' is not one of"),
        (["run", "--open", "--format", "md"], "--open shows HTML, and --format md was asked for"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], message: str, run: Path) -> None:
    answer = report(run.parent, *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("headline", 3),
        ("rule", "TCKx"),
        ("severity", "fatal"),
        ("location", "here"),
        ("notes", "one"),
        ("count", "3"),
        ("related", [{"file": 3}]),
        ("tried", 1),
    ],
)
@pytest.mark.parametrize("form", ["text", "html"])
def test_a_report_with_a_wrong_part_is_refused_in_one_sentence(key: str, value: object, form: str, run: Path) -> None:
    content = to_json(samples.RECORD)
    content["findings"][0][key] = value
    (run / "report.json").write_text(json.dumps(content))
    answer = CliRunner().invoke(main, ["report", str(run), "--format", form])
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "this is no tensorcheck report" in answer.stderr


@pytest.mark.parametrize(
    "content", ["NaN", "[" * 100_000, '{"schema_version": 1, "coverage": {"cost": 1e999}}', "\xff"]
)
def test_a_file_made_to_break_a_reader_is_refused_in_one_sentence(content: str, run: Path) -> None:
    (run / "report.json").write_bytes(content.encode("latin-1"))
    answer = CliRunner().invoke(main, ["report", str(run)])
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("Error: ")


def test_a_file_name_that_is_no_utf_8_can_be_printed(run: Path) -> None:
    content = to_json(Record("0.1.0", findings=(samples.FROZEN,)))
    content["findings"][0]["location"]["file"] = "\udc80.py"
    (run / "report.json").write_text(json.dumps(content))
    for form in FORMATS:
        assert report(run.parent, "run", "--format", form).returncode == 0

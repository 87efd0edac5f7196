"""What a project wants to see, and what becomes of a finding."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcheck.configuration import SettingsError, read_settings
from tensorcheck.findings import Finding, Severity
from tensorcheck.settings import Settings, is_silenced
from tensorcheck.sites import Site
from tests import strategies

FINDING = Finding("TCK202", "loss-broadcast", Severity.ERROR, "`loss` grows")


def on_line(source: str, guilty: str = "f(x)", **parts: str) -> Finding:
    column = source.index(guilty) + 1
    site = Site("train.py", 7, column, column + len(guilty), code=guilty, source=source)
    return replace(FINDING, site=replace(site, **parts))  # type: ignore[arg-type] # only texts are given


def in_file(file: str) -> Finding:
    return replace(FINDING, site=Site(file, 7))


def write(folder: Path, table: str) -> Path:
    (folder / "pyproject.toml").write_text(f"[tool.tensorcheck]\n{table}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        (Settings(), True),
        (Settings(select=("TCK2",)), True),
        (Settings(select=("TCK4", "TCK202")), True),
        (Settings(select=("TCK4",)), False),
        (Settings(ignore=("TCK2",)), False),
        (Settings(select=("TCK202",), ignore=("TCK2",)), True),
        (Settings(select=("TCK2",), ignore=("TCK202",)), False),
        (Settings(select=("TCK202",), ignore=("TCK202",)), False),
        (Settings(select=()), False),
    ],
)
def test_the_longer_name_wins_and_ignore_between_equal_ones(settings: Settings, is_kept: bool) -> None:  # noqa: FBT001 - a case
    assert settings.selects("TCK202") is is_kept
    assert settings.judged(FINDING) == (FINDING if is_kept else None)


@pytest.mark.parametrize(
    ("file", "select", "ignore", "is_kept"),
    [
        (Settings(ignore=("TCK202",)), ["TCK202"], [], True),
        (Settings(select=("TCK4",)), ["TCK2"], [], True),
        (Settings(select=("TCK202",)), [], ["TCK2"], False),
        (Settings(select=("TCK2",)), [], ["TCK4"], True),
        (Settings(ignore=("TCK2",)), [], ["TCK4"], False),
        (Settings(), ["TCK2"], ["TCK202"], False),
    ],
)
def test_flags_win_over_the_file(file: Settings, select: list[str], ignore: list[str], is_kept: bool) -> None:  # noqa: FBT001 - a case
    assert file.with_flags(select=select, ignore=ignore).selects("TCK202") is is_kept


@given(st.lists(st.sampled_from(["TCK", "TCK2", "TCK20", "TCK202", "TCK4"])), strategies.findings())
def test_a_finding_is_kept_or_dropped_and_never_changed_but_in_severity(codes: list[str], finding: Finding) -> None:
    judged = Settings(ignore=tuple(codes), severity={"TCK2": Severity.INFO}).judged(finding)
    assert judged is None or replace(judged, severity=finding.severity) == finding


def test_the_longest_name_sets_the_severity() -> None:
    settings = Settings(severity={"TCK202": Severity.WARNING, "TCK": Severity.INFO})
    judged = settings.judged(FINDING)
    assert judged is not None
    assert judged.severity is Severity.WARNING


@pytest.mark.parametrize(
    "comment",
    [
        "# tensorcheck: ignore[TCK202]",
        "#tensorcheck:ignore[ TCK4 , tck202 ]",
        "# tensorcheck: ignore[TCK2]",
        "# tensorcheck: ignore [TCK2] on purpose",
        "# tensorcheck: ignore",
        "# noqa: E501  # tensorcheck: ignore",
        "# tensorcheck: ignore[TCK4]  # tensorcheck: ignore[TCK2]",
    ],
)
def test_a_comment_on_its_line_silences_a_finding(comment: str) -> None:
    assert is_silenced(on_line(f"    y = f(x)  {comment}"))
    assert Settings().judged(on_line(f"    y = f(x)  {comment}")) is None


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "# tensorcheck: ignore[TCK4]",
        "# tensorcheck: ignore[]",
        "# tensorcheck: ignore[, T]",
        "# tensorcheck: ignore[TCK202",
        "# tensorcheck: ignored",
        "# tensorcheck: ignore-next",
        "# ignore[TCK202]",
    ],
)
def test_another_comment_does_not(comment: str) -> None:
    assert not is_silenced(on_line(f"y = f(x)  {comment}"))


@pytest.mark.parametrize(
    "source",
    [
        'y = f(x) + "# tensorcheck: ignore"',
        "y = f(x) + '''# tensorcheck: ignore",
        '# tensorcheck: ignore the rest of a string""" + f(x)',
    ],
)
def test_a_string_that_looks_like_a_comment_does_not(source: str) -> None:
    assert not is_silenced(on_line(source))


@pytest.mark.parametrize("source", ["y = g(f(x),  # tensorcheck: ignore", "    f(x)), z]  # tensorcheck: ignore"])
def test_a_line_of_a_longer_statement_has_its_comment_too(source: str) -> None:
    assert is_silenced(on_line(source))


def test_a_place_whose_columns_are_not_known_can_be_silenced() -> None:
    assert is_silenced(replace(FINDING, site=Site("train.py", 7, source="f(x)  # tensorcheck: ignore")))


@given(strategies.codes())
def test_any_source_line_can_be_read(code: str) -> None:
    assert is_silenced(replace(FINDING, site=Site("a.py", 1, source=f"{code}# tensorcheck: ignore"))) in {True, False}


@pytest.mark.parametrize(
    ("pattern", "file"),
    [
        ("tests", "tests/core/a.py"),
        ("tests/", "tests/core/a.py"),
        ("tests/**", "tests/core/a.py"),
        ("tests/core", "tests/core/a.py"),
        ("**/a.py", "a.py"),
        ("**/a.py", "tests/core/a.py"),
        ("test_*.py", "tests/core/test_a.py"),
        ("tests/*.py", "tests/a.py"),
    ],
)
def test_a_pattern_matches_files_and_folders(pattern: str, file: str) -> None:
    settings = Settings(per_path_ignores={pattern: ("TCK2",)})
    assert settings.judged(in_file(file)) is None
    assert settings.judged(in_file("other/b.py")) is not None
    assert settings.judged(FINDING) is FINDING


def test_patterns_start_from_the_file_and_places_from_where_the_run_was_started(tmp_path: Path) -> None:
    (tmp_path / "examples" / "vae").mkdir(parents=True)
    write(tmp_path, 'per-path-ignores = {"examples/vae" = ["TCK202"]}')
    inside = read_settings(tmp_path / "examples" / "vae")
    assert inside.judged(in_file("train.py")) is None
    assert inside.judged(in_file("../train.py")) is not None
    assert inside.judged(in_file(str(tmp_path / "examples" / "vae" / "train.py"))) is None
    assert inside.judged(in_file("/elsewhere/examples/vae/train.py")) is not None


def test_all_keys_of_a_file_are_read(tmp_path: Path) -> None:
    table = 'select = ["tck2", "TCK4"]\nignore = ["TCK401"]\n[tool.tensorcheck.severity]\nTCK202 = "warning"'
    settings = read_settings(write(tmp_path, table))
    assert (settings.select, settings.ignore) == (("TCK2", "TCK4"), ("TCK401",))
    assert settings.severity == {"TCK202": Severity.WARNING}


def test_the_nearest_file_above_is_read(tmp_path: Path) -> None:
    write(tmp_path, 'ignore = ["TCK2"]')
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert read_settings(tmp_path / "a" / "b").ignore == ("TCK2",)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert read_settings(tmp_path / "a" / "b") == Settings(
        root=str(tmp_path / "a"), started_in=str(tmp_path / "a" / "b")
    )


def test_a_file_without_a_table_of_ours_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("this is = = no TOML")
    assert read_settings(tmp_path).select == ("TCK",)


def test_flags_are_taken_apart_at_commas(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, select=["TCK2,TCK403", "TCK8"])
    assert settings.select == ("TCK2", "TCK403", "TCK8")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('selekt = ["TCK2"]', r"has no key 'selekt'; did you mean 'select'\?"),
        ('select = "TCK2"', r"select is a list of codes such as \[.*\], not 'TCK2'"),
        ("select = [2]", r"select: a rule is named by its code, .*, not by 2"),
        ('ignore = ["TCK29"]', r"ignore: no rule's code is or starts with 'TCK29'; did you mean 'TCK\d\d\d'\?"),
        ('ignore = ["loss-brodcast"]', r"ignore: no rule's code .* 'loss-brodcast'; did you mean 'TCK202'\?"),
        ('ignore = [""]', r"ignore: no rule's code is or starts with ''"),
        ('ignore = ["T"]', r"ignore: no rule's code is or starts with 'T'"),
        ('severity = ["TCK2"]', r"severity is a table, not \['TCK2'\]"),
        ('severity = {TCK202 = "eror"}', r"severity\.TCK202 is one of .*, not 'eror'; did you mean 'error'\?"),
        ("severity = {TCK202 = 1}", r"severity\.TCK202 is one of 'info', 'warning', 'error', not 1"),
        ('severity = {TCK999 = "info"}', r"severity: no rule's code .* 'TCK999'"),
        ('per-path-ignores = {"a.py" = "TCK2"}', r"per-path-ignores\.'a\.py' is a list of codes"),
        ("select = [", r"can't be read: "),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(table: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"pyproject\.toml:? .*{message}"):
        read_settings(write(tmp_path, table))


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\ntensorcheck = 3\n")
    with pytest.raises(SettingsError, match=r"tool\.tensorcheck is a table, not 3"):
        read_settings(tmp_path)


@pytest.mark.parametrize(("flag", "name"), [("select", "--select"), ("ignore", "--ignore")])
def test_a_flag_with_an_unknown_code_is_refused_by_its_name(flag: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=rf"{name}: no rule's code is or starts with 'TKC202'; did you mean 'TCK202'"
    ):
        read_settings(tmp_path, **{flag: ["TKC202"]})


def test_where_there_is_no_table_neither_torch_nor_toml_nor_a_rule_is_imported() -> None:
    question = (
        "import sys; from pathlib import Path; from tensorcheck.configuration import read_settings;"
        "read_settings(Path('/'));"
        "print([name for name in sys.modules if name in {'torch', 'tomllib'} or '.rules.' in name])"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"

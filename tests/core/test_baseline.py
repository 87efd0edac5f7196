"""The findings that a project knows of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcheck.baseline import Baseline, BaselineError, read_baseline, write_baseline
from tensorcheck.findings import Category, Finding
from tests import strategies
from tests.render.samples import FROZEN, LOSS_BROADCAST, UNPLACED

FOUND = (LOSS_BROADCAST, FROZEN, UNPLACED)


def test_a_known_finding_is_taken_out_and_counted(tmp_path: Path) -> None:
    write_baseline(tmp_path / "known.json", [LOSS_BROADCAST, UNPLACED])
    assert read_baseline(tmp_path / "known.json").split(FOUND) == ((FROZEN,), 2)


def test_a_finding_is_known_on_another_line_and_with_other_sizes() -> None:
    assert LOSS_BROADCAST.site is not None
    moved = replace(LOSS_BROADCAST, site=replace(LOSS_BROADCAST.site, line=7), headline="`mse_loss` got 8 rows")
    assert Baseline.of(FOUND).split([moved]) == ((), 1)


def test_the_same_mistake_at_another_place_is_new() -> None:
    assert LOSS_BROADCAST.site is not None
    other = replace(LOSS_BROADCAST, site=replace(LOSS_BROADCAST.site, code="loss_fn(a, b)"))
    assert Baseline.of(FOUND).split([other]) == ((other,), 0)


def test_a_fault_of_our_own_is_never_known() -> None:
    fault = replace(UNPLACED, rule="TCK001")
    assert Baseline.of([fault]).split([fault]) == ((fault,), 0)


@given(st.lists(strategies.findings(), max_size=4), st.randoms())
def test_everything_in_a_baseline_is_known_to_it(found: list[Finding], random: object) -> None:
    new, count = Baseline.of(found).split(found)
    assert {finding.category for finding in new} <= {Category.INTERNAL}
    assert count == len(found) - len(new)


def test_equal_findings_make_an_equal_file_in_any_order(tmp_path: Path) -> None:
    write_baseline(tmp_path / "a.json", FOUND)
    write_baseline(tmp_path / "b.json", [*reversed(FOUND), FROZEN])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    entries = json.loads((tmp_path / "a.json").read_bytes())["findings"]
    assert [entry["file"] for entry in entries] == ["", "finetune.py", "prices.py"]


@given(st.lists(strategies.findings(), max_size=3))
def test_what_is_written_comes_back(found: list[Finding]) -> None:
    import tempfile  # noqa: PLC0415 - tmp_path would be shared by the examples

    with tempfile.TemporaryDirectory() as folder:
        write_baseline(Path(folder, "known.json"), found)
        assert read_baseline(Path(folder, "known.json")) == Baseline.of(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no baseline: it is no JSON"),
        ("[]", "it has no 'tensorcheck_baseline'; --write-baseline makes one"),
        ('{"schema_version": 1}', "it has no 'tensorcheck_baseline'"),
        ('{"tensorcheck_baseline": 2, "findings": []}', "of version 2; this version of tensorcheck reads 1"),
        ('{"tensorcheck_baseline": 1}', "each of its 'findings' has file, rule, fingerprint, headline"),
        ('{"tensorcheck_baseline": 1, "findings": [{}]}', "each of its 'findings' has"),
        ('{"tensorcheck_baseline": 1, "findings": 3}', "each of its 'findings' has"),
        (
            '{"tensorcheck_baseline": 1, "findings": [{"file": "", "rule": 1, "fingerprint": "", "headline": ""}]}',
            "and each is text",
        ),
        ("[" * 100_000, "it is no JSON"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused_by_name(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(content)
    with pytest.raises(BaselineError, match=rf"known\.json .*{message}"):
        read_baseline(tmp_path / "known.json")


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"known\.json can't be read: No such file or directory"):
        read_baseline(tmp_path / "known.json")


def test_a_folder_that_is_not_there_is_an_error_of_the_baseline(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the folder of the baseline does not exist"):
        write_baseline(tmp_path / "missing" / "known.json", FOUND)

"""Law 3: whole programs that are as they should be, in the styles of different people, are silent."""

import runpy
from pathlib import Path

import pytest

from tests.zoo.keeper import programs, watched


def test_there_are_many() -> None:
    assert len(programs()) >= 100


@pytest.mark.parametrize("path", programs(), ids=lambda path: path.stem)
def test_a_program_that_learns_is_silent(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    seen = watched(lambda: runpy.run_path(str(path), run_name="__main__"))

    print(*seen.infos(), sep="\n")  # noqa: T201 - shown where the test fails
    assert seen.alarms() == []
    assert seen.faults == ()
    assert seen.models > 0

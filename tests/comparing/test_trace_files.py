"""Traces as files: they come back as they were, and what is none is refused."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcheck.comparing.reading import TraceFormatError, from_json, read_run
from tensorcheck.comparing.recorded import RecordedRun, document
from tests.comparing.runs import Net, recorded

WHOLE = json.loads(document(recorded(steps=1)))


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    run = recorded(steps=1)
    run.save(tmp_path / "trace.json")
    back = read_run(tmp_path)
    assert (back.command, back.environment, back.version) == (run.command, run.environment, run.version)
    for one, other in zip(run.steps, back.steps, strict=True):
        assert (one.operations, one.values, one.gradients) == (other.operations, other.values, other.gradients)
    assert document(back) == document(run)


def test_the_trace_of_a_watch_saves_itself(tmp_path: Path) -> None:
    run = recorded(Net, steps=1)
    run.steps[0].save(tmp_path / "one.json")
    assert read_run(tmp_path / "one.json").steps[0].values == run.steps[0].values


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


PLACES = [place for place in places(WHOLE) if place]


@given(st.sampled_from(PLACES), st.sampled_from([None, "text", -7, 1e400, 3.5, 10**30, [], {}, [[]], True]))
def test_a_trace_with_something_else_somewhere_is_read_or_refused(place: tuple[Any, ...], odd: Any) -> None:
    broken = json.loads(json.dumps(WHOLE))
    holder = broken
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    with suppress(TraceFormatError):
        assert isinstance(from_json(broken), RecordedRun)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"schema_version": NaN}', "NaN is no number of JSON"),
        ("[1]", "no trace of tensorcheck"),
        ('{"schema_version": 2}', "schema_version 2"),
        ('{"schema_version": 1}', "'environment' is missing"),
        ("\udcff", "is no JSON"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TraceFormatError, match=words):
        read_run(file)


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_place_that_is_not_there_is_refused(where: str) -> None:
    broken = json.loads(json.dumps(WHOLE))
    broken["steps"][0]["operations"][0][where] = [10_000]
    with pytest.raises(TraceFormatError, match="10000 is no place in a list of"):
        from_json(broken)


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(TraceFormatError, match="it is no file"):
        read_run(Path("/dev/zero"))


def test_a_folder_without_a_trace_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(TraceFormatError, match="run --run-dir"):
        read_run(tmp_path)

"""A file of a stranger: it is refused in a sentence, or read, and nothing of it is run or written."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tensorcheck.capsules.archive import CONTENTS, CapsuleFile
from tensorcheck.capsules.contents import CapsuleError
from tensorcheck.capturing.functions import UnknownFunctionError, function_named
from tensorcheck.replaying.replay import outcomes_of
from tests.capsules.test_replays import capsule_of, embedding, linear, lstm, operator, replay

Contents = dict[str, Any]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A few files as they are written."""
    fails = (linear, lstm, embedding, operator)
    return [capsule_of(fail, tmp_path_factory.mktemp("own")).read_bytes() for fail in fails]


def parts_of(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(CapsuleError) as caught, CapsuleFile(path):
        pass
    return str(caught.value)


def changed(file: bytes, change: Callable[[Contents], object]) -> dict[str, bytes]:
    parts = parts_of(file)
    contents = json.loads(parts[CONTENTS])
    change(contents)
    return {**parts, CONTENTS: json.dumps(contents).encode()}


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path, genuine: list[bytes]) -> None:
    bomb = written(tmp_path / "bomb", {**parts_of(genuine[0]), "tensors/9": bytes(50 << 20)}, zipfile.ZIP_DEFLATED)
    assert "larger than the file itself" in refused(bomb)
    few = written(tmp_path / "few", parts_of(genuine[0]), zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(few) or "larger than the file" in refused(few)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "tensors/../x", "tensors/", "code.py", "tensors/-1"])
def test_an_entry_that_no_capsule_has_is_refused(tmp_path: Path, genuine: list[bytes], name: str) -> None:
    path = written(tmp_path / "odd", {**parts_of(genuine[0]), name: b"x"})
    assert "is none of a capsule's" in refused(path)
    assert [each.name for each in tmp_path.iterdir()] == ["odd"]


@pytest.mark.parametrize(
    "change",
    [
        lambda contents: contents["tensors"][0].update(shape=[1 << 39, 1 << 39]),
        lambda contents: contents["tensors"][0].update(shape=[-2, 5]),
        lambda contents: contents["tensors"][0].update(shape=[3, 5]),
        lambda contents: contents["tensors"][0].update(strides=[1 << 40, 1]),
        lambda contents: contents["tensors"][0].update(dtype="object"),
        lambda contents: contents["tensors"][0].update(dtype="float64"),
        lambda contents: contents["call"].update(function="os.system('x')"),
        lambda contents: contents["call"].update(args=[{"pickle": "x"}]),
        lambda contents: contents["call"].update(args=[{"tensor": 99}]),
        lambda contents: contents["call"].update(module=99),
        lambda contents: contents["modules"][0]["children"].update(self=0),
        lambda contents: contents["modules"][0]["attributes"].update(__class__=1),
        lambda contents: contents.update(capsule_version=2),
        lambda contents: contents.update(modules=3),
        lambda contents: contents.update(report={"findings": [1]}),
        lambda contents: contents["surroundings"].update(threads=1 << 70),
    ],
)
def test_contents_that_cannot_be_meant_are_refused(
    tmp_path: Path, genuine: list[bytes], change: Callable[[Contents], object]
) -> None:
    path = written(tmp_path / "odd", changed(genuine[0], change))
    assert refused(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"NaN", b'{"a": 1e', b"\xff\xfe", b"9" * 5000])
def test_what_is_no_json_is_refused(tmp_path: Path, text: bytes) -> None:
    assert refused(written(tmp_path / "odd", {CONTENTS: text}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_file_that_was_cut_or_bent_is_refused_or_read(
    tmp_path: Path, genuine: list[bytes], data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from(genuine))
    start = data.draw(st.integers(0, len(whole) - 1))
    bent = data.draw(st.sampled_from([whole[:start], whole[:start] + b"\xff" + whole[start + 1 :], whole[start:]]))
    path = tmp_path / "bent"
    path.write_bytes(bent)
    try:
        with CapsuleFile(path) as file:
            outcomes = list(outcomes_of(file, is_trusted=False))
    except CapsuleError:
        return
    assert all(outcome.words for outcome in outcomes)


TAGS = st.sampled_from(["tensor", "tuple", "module", "function", "device", "user", "object", "a"])
TAGS = st.sampled_from(["tensor", "tuple", "module", "function", "device", "user", "object", "a"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 65), 1 << 65) | st.floats(-10, 10) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TAGS, inner, max_size=1),
    max_leaves=6,
)


def places(contents: object) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, by what holds it and the key; the many random numbers are one."""
    items: list[tuple[Any, object]] = []
    if isinstance(contents, dict | list):
        items = list(contents.items() if isinstance(contents, dict) else enumerate(contents))
    inner = [place for key, value in items if key != "surroundings" for place in places(value)]
    return [*((contents, key) for key, _ in items), *inner]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(st.data())
def test_contents_with_anything_anywhere_are_refused_or_end_in_words(
    tmp_path: Path, genuine: list[bytes], data: st.DataObject
) -> None:
    def change(contents: Contents) -> None:
        held, key = data.draw(st.sampled_from(places(contents)))
        held[key] = data.draw(VALUES)

    path = written(tmp_path / "odd", changed(data.draw(st.sampled_from(genuine)), change))
    try:
        with CapsuleFile(path) as file:
            outcomes = list(outcomes_of(file, is_trusted=False))
    except CapsuleError:
        return
    assert all(outcome.words for outcome in outcomes)


SPACES = st.sampled_from(["torch.", "operator.", "torch.Tensor.", "torch.nn.functional."])
NAMES = st.tuples(SPACES, st.text("abcdeflmostv_", max_size=9)).map("".join) | st.text(max_size=20)


SPACES = st.sampled_from(["torch.", "operator.", "torch.Tensor.", "torch.nn.functional."])
NAMES = st.tuples(SPACES, st.text("abcdeflmostv_", max_size=9)).map("".join) | st.text(max_size=20)


@given(NAMES)
@example("torch.load")
@example("torch.save")
@example("torch.from_file")
@example("torch.hub.load")
@example("torch.Tensor.apply_")
@example("torch.Tensor.__reduce_ex__")
@example("operator.methodcaller")
@example("os.system")
@example("torch.nn.functional.importlib")
def test_a_name_is_a_function_that_computes_or_nothing(name: str) -> None:
    try:
        function = function_named(name)
    except UnknownFunctionError:
        return
    assert not name.endswith(("load", "save", "file", "apply_", "system", "methodcaller", "__"))
    assert callable(function)


def test_nothing_of_the_users_runs_without_trust(tmp_path: Path, genuine: list[bytes]) -> None:
    def change(contents: Contents) -> None:
        contents["modules"][0].update(origin="evil", kind="Linear")
        contents["sources"] = [{"module": "evil", "file": "evil.py", "text": "open('ran', 'w').close()\n\x1b[2J"}]

    done = replay(written(tmp_path / "evil.capsule", changed(genuine[0], change)))
    assert done.returncode == 3
    assert "runs with --trust alone" in done.stdout
    assert "\x1b" not in done.stdout
    assert not (tmp_path / "elsewhere" / "ran").exists()


def test_a_file_that_is_none_exits_with_2_and_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"x" * 100)
    done = replay(tmp_path / "weights.pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no capsule, or only the beginning of one" in done.stderr
    assert torch.__version__ not in done.stderr

"""A schedule that no code steps, told from one that another cell may step."""

import linecache

import pytest

from tensorcheck.observe.stepping_code import SteppingCode, steps_in_code
from tensorcheck.sites import Site

CODE = "scheduler = StepLR(optimizer, 3)\noptimizer.step()\n"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a_script.py", SteppingCode(None, "scheduler")),
        ("<ipython-input-3-a1b2c3d4e5f6>", None),
        ("/home/me/ipykernel_4711/1234567890.py", None),
        ("/home/me/__marimo__cell_Hbol_.py", None),
    ],
)
def test_another_cell_may_step_it(name: str, known: SteppingCode | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linecache.cache, name, (len(CODE), None, CODE.splitlines(keepends=True), name))

    built = Site(name, 1, code="scheduler = StepLR(optimizer, 3)")
    stepped = Site(name, 2, code="optimizer.step()")
    assert steps_in_code([name], built, stepped) == known

"""Scripts put together by chance from healthy parts are silent; with one mistake, the rule of that mistake speaks."""

import contextlib
import runpy
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tensorcheck.catalogue import all_rules
from tests.properties.scripts import MUTATIONS, Mutation, Plan, plans, script
from tests.zoo.keeper import Seen, watched

_KNOWN = {rule.code for rule in all_rules()}


def _marks(mutation: Mutation) -> list[pytest.MarkDecorator]:
    unknown = pytest.mark.skipif(mutation.rule not in _KNOWN, reason=f"there is no {mutation.rule} yet")
    return [unknown, pytest.mark.xfail(reason=mutation.missed)] if mutation.missed else [unknown]


_SPOILED = [pytest.param(mutation, id=mutation.name, marks=_marks(mutation)) for mutation in MUTATIONS]


def run(source: str) -> Seen:
    """Run a script from a file of its own, for rules read the lines that they name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train.py")
        file.write_text(source, encoding="utf-8")
        return watched(lambda: _run_path(file))


def _run_path(file: Path) -> None:
    with contextlib.suppress(RuntimeError):  # some mistakes end the script, and are explained
        runpy.run_path(str(file), run_name="__main__")


@settings(max_examples=40)
@given(plan=plans())
def test_healthy_parts_are_silent_together(plan: Plan) -> None:
    source = script(plan)

    seen = run(source)

    assert seen.alarms() == [], source
    assert seen.faults == ()
    assert seen.steps > 0


@pytest.mark.parametrize("mutation", _SPOILED)
def test_a_mistake_is_found_by_its_rule(mutation: Mutation) -> None:
    @settings(
        max_examples=5,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(plan=plans().filter(mutation.fits))
    def is_found(plan: Plan) -> None:
        source = mutation.applied(script(plan))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch itself warns of some
            seen = run(source)

        assert mutation.rule in {finding.rule for finding in seen.findings}, source

    is_found()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_spoils_what_was_a_script(mutation: Mutation) -> None:
    @settings(
        max_examples=5,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(plan=plans().filter(mutation.fits))
    def is_a_script(plan: Plan) -> None:
        compile(mutation.applied(script(plan)), "train.py", "exec")

    is_a_script()

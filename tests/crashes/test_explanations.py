"""Each message of the table gets its explanation, from the traceback alone, and it holds the facts."""

import pytest
import torch
from torch.distributions import Distribution

import tensorcheck
from tensorcheck.catalogue import all_rules
from tensorcheck.findings import Severity
from tensorcheck.render.text import finding_text
from tests.crashes.programs import Program, crash_of, load_programs
from tests.invariants import assert_well_formed

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # PyTorch warns of some of the mistakes before it raises
    pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="the table holds what PyTorch 2.13 says"),
]
CODES = {rule.code for rule in all_rules()}
EXPLAINED = [program for program in load_programs() if program.rule in CODES]


@pytest.fixture(autouse=True)
def validated_distributions() -> None:
    """The first `torch.compile` of a process switches it off for good."""
    Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("program", EXPLAINED, ids=lambda program: f"{program.rule}-{program.name}")
def test_a_crash_is_explained_by_its_rule_and_with_its_facts(program: Program) -> None:
    with crash_of(program) as error:
        findings = tensorcheck.explain(error).findings

    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert [finding.rule for finding in errors] == [program.rule]
    assert_well_formed(errors[0])
    text = finding_text(errors[0])
    assert [fact for fact in program.facts if fact not in text] == [], text

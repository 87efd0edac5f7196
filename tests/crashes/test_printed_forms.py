"""How explanations read: one crash of each rule, as it is printed below the traceback, in files to be read."""

import pytest
import torch
from rich.cells import cell_len

import tensorcheck
from tensorcheck.findings import Severity
from tensorcheck.render.text import WIDTH, finding_text
from tests.conftest import Golden
from tests.crashes.programs import UNNAMED, Program, crash_of, load_programs

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # PyTorch warns of some of the mistakes before it raises
    pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="the table holds what PyTorch 2.13 says"),
]
FIRST = {program.rule: program for program in reversed(load_programs()) if program.rule != UNNAMED}


@pytest.mark.parametrize("program", FIRST.values(), ids=FIRST.keys())
def test_a_crash_of_each_rule_reads_as_it_did(program: Program, golden: Golden) -> None:
    with crash_of(program) as error:
        findings = tensorcheck.explain(error).findings

    text = "\n\n".join(finding_text(finding) for finding in findings if finding.severity is Severity.ERROR)

    golden(f"{program.rule}-{program.name}.txt", f"{text}\n")
    assert max(map(cell_len, text.split("\n"))) <= WIDTH


def test_there_are_many() -> None:
    assert len(FIRST) >= 25

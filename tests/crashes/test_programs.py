"""The table of PyTorch's messages is true: each program raises what it says, and each pattern tells its rule."""

import re
from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch.distributions import Distribution

from tests.crashes.programs import STAGES, UNNAMED, Program, crash_of, load_programs

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # PyTorch warns of some of the mistakes before it raises
    pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="the table holds what PyTorch 2.13 says"),
]
PROGRAMS = pytest.mark.parametrize("program", load_programs(), ids=lambda program: f"{program.rule}-{program.name}")


@pytest.fixture(autouse=True)
def validated_distributions() -> None:
    """The first `torch.compile` of a process switches it off for good."""
    Distribution.set_default_validate_args(True)


class Shared(NamedTuple):
    """A text that PyTorch says to the mistakes of several rules."""

    text: str
    rules: str
    """Their numbers, apart by blanks."""
    because: str


SHARED = (
    Shared("mat1 and mat2 must have the same dtype", "101 104", "layers and users call the same linear"),
    Shared("expected scalar type", "101 102 104", "the kernel checks any of its arguments so"),
    Shared("log_softmax_lastdim_kernel_impl", "102 105", "cross_entropy calls log_softmax"),
    Shared("can't be cast to the desired output type", "102 105", "some losses work in place"),
    Shared("Subtraction, the `-` operator", "102 105", "some losses subtract"),
    Shared("mean(): could not infer output dtype", "102 105", "losses end with a mean"),
    Shared("Expected floating point type for target with class probabilities", "102 207", "equal shapes mean one-hot"),
    Shared("tensors used as indices must be", "103 703", "a sampler's indices go to a TensorDataset"),
    Shared("The shape of the mask", "103 204", "indices of dtype uint8 are a mask"),
    Shared("can't convert np.ndarray of type", "105 702", "default_collate makes tensors of arrays"),
    Shared("mat1 and mat2 shapes cannot be multiplied", "201 204", "layers and users call the same linear"),
    Shared("Given groups=", "201 203", "the sizes tell whether the order of the dims is wrong"),
    Shared("running_mean should contain", "201 203", "the sizes tell whether the order of the dims is wrong"),
    Shared("Dimension out of range", "203 205", "said by any function with a dim"),
    Shared("The size of tensor a", "204 205 207 801", "said by anything that broadcasts"),
    Shared("doesn't match the broadcast shape", "204 207", "said by anything in place"),
    Shared("is invalid for input of size", "204 206", "attention reshapes its key to the query's batch"),
    Shared("stack expects each tensor to be equal size", "205 701", "default_collate stacks"),
    Shared("is out of bounds for dimension", "208 703", "a sampler's indices go to a TensorDataset"),
    Shared("is not on the expected device", "301 302 303 304 701", "said by any operation"),
    Shared("Input and parameter tensors are not at the same device", "301 304", "either may be on meta by mistake"),
    Shared("Cannot copy out of meta tensor; no data!", "303 304", "said by any copy from meta"),
    Shared("element 0 of tensors does not require grad", "403 405 411", "the graph's end says nothing of the cause"),
    Shared("'betas'", "701 801", "a KeyError holds the key alone"),
    Shared("'param_groups'", "701 801", "a KeyError holds the key alone"),
    Shared("expected Tensor as element", "106 701", "default_collate stacks"),
    Shared("only one element tensors can be converted to Python scalars", "212 701", "default_collate calls tensor"),
    Shared("values to unpack", "206 704", "said by Python of anything unpacked"),
)


@cache
def outcome_of(program: Program) -> tuple[str, str]:
    """The class of the exception and its message."""
    with crash_of(program) as error:
        return type(error).__name__, str(error)


def may_share(message: str, one: Program, other: Program) -> bool:
    """Whether the table says that a message belongs to both programs' rules."""
    rules = {one.rule.removeprefix("TCK"), other.rule.removeprefix("TCK")}
    return any(shared.text in message and rules <= set(shared.rules.split()) for shared in SHARED)


@PROGRAMS
def test_program_raises_what_its_entry_says(program: Program) -> None:
    error, message = outcome_of(program)

    assert error == program.error
    assert re.search(program.message, message), f"{program.message!r} is not in {message!r}"


@PROGRAMS
def test_message_is_matched_by_no_pattern_of_another_rule(program: Program) -> None:
    _, message = outcome_of(program)
    others = [other for other in load_programs() if other.rule != program.rule]

    matching = [other for other in others if re.search(other.message, message)]

    assert [other.name for other in matching if not may_share(message, program, other)] == []


@pytest.mark.parametrize("shared", SHARED, ids=lambda shared: shared.text)
def test_shared_message_belongs_to_just_its_rules(shared: Shared) -> None:
    saying = [program for program in load_programs() if shared.text in outcome_of(program)[1]]

    rules = {rule for program in saying for rule in rules_matching(program)}

    assert rules == {f"TCK{number}" for number in shared.rules.split()}


def rules_matching(program: Program) -> set[str]:
    """The program's rule and those others of which a pattern matches its message; none where there is no other."""
    _, message = outcome_of(program)
    others = {other.rule for other in load_programs() if re.search(other.message, message)} - {program.rule}
    return others | {program.rule} if others else set()


@PROGRAMS
def test_entry_is_well_formed(program: Program) -> None:
    assert program.stage in STAGES
    assert 1 <= len(program.facts) <= 4
    assert all(program.facts)
    assert 2 <= len(program.code.splitlines()) <= 15
    assert bool(program.proposed) == (program.rule == UNNAMED)


def test_names_are_unique() -> None:
    counted = Counter(program.name for program in load_programs())

    assert [name for name, count in counted.items() if count > 1] == []


def test_table_holds_at_least_140_patterns() -> None:
    assert len({program.message for program in load_programs()}) >= 140

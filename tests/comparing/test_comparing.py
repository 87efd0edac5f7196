"""What comparing two real trainings says."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tensorcheck.comparing.compare import NothingInCommonError, compare
from tensorcheck.comparing.comparison import Aspect
from tensorcheck.comparing.recorded import RecordedRun
from tensorcheck.comparing.steps import Limits
from tensorcheck.render.comparison import Names, document
from tensorcheck.trace import Value
from tests.comparing.runs import Net, recorded


@pytest.fixture(scope="module")
def before() -> RecordedRun:
    return recorded()


def test_a_run_is_the_same_as_itself_and_as_its_repetition(before: RecordedRun) -> None:
    for other in (before, recorded()):
        compared = compare(before, other)
        assert compared.is_same(strict=True)
        assert compared.widest is None
        assert (compared.partings, compared.unmatched, compared.undecided) == ((), (), 0)
        assert compared.values > 50


def test_a_setting_that_changed_is_named_where_the_values_first_part(before: RecordedRun) -> None:
    text = document(compare(before, recorded(lambda: Net(drop=0.4))))
    assert text.startswith("different: values part first in step 0, at `dropout` in `drop` (Dropout)\n")
    assert " = settings: `drop` (Dropout): p=0.1 in the first, p=0.4 in the second\n" in text


def test_a_layer_that_is_wider_parts_in_shape_first(before: RecordedRun) -> None:
    compared = compare(before, recorded(lambda: Net(width=20)))
    assert compared.first is not None
    assert (compared.first.aspect, compared.first.left.value.name) == (Aspect.SHAPE, "fc.weight")
    assert "`fc` (Linear): out_features=16 in the first, out_features=20 in the second" in document(compared)


def test_another_seed_is_told_by_the_weights(before: RecordedRun) -> None:
    text = document(compare(before, recorded(seed=1)))
    assert "at `fc.weight`, which `linear` in `fc` (Linear) reads" in text
    assert "the weights already differ before the first step" in text


class Copying(Net):
    """The same values by one operation more."""

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows.clone())


def test_an_operation_more_is_just_that_where_values_agree(before: RecordedRun) -> None:
    compared = compare(before, recorded(Copying))
    assert [each.what.name for each in compared.unmatched if not isinstance(each.what, str)] == ["clone"] * 2
    assert compared.partings == ()
    assert compared.is_same()
    assert not compared.is_same(strict=True)


def test_an_operation_more_is_a_difference_where_no_values_are_known(before: RecordedRun) -> None:
    compared = compare(before, recorded(Copying, fingerprint=False))
    assert not compared.is_same()
    assert document(compared).startswith("different: only the second has `clone`, in step 0\n")


class Scaling(Net):
    """Other values, by one operation more."""

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows * 1.001)


def test_an_operation_that_changes_values_is_named_where_they_part(before: RecordedRun) -> None:
    compared = compare(before, recorded(Scaling))
    assert compared.first is not None
    assert compared.first.aspect is Aspect.VALUES
    assert any("only the second has mul" in note for note in compared.first.notes)


class Renamed(nn.Module):
    """The same layers by other names."""

    def __init__(self) -> None:
        super().__init__()
        inner = Net()
        self.body = nn.ModuleDict({"first": inner.fc, "norm": inner.norm, "drop": inner.drop})
        self.classifier = inner.head

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.body["norm"](self.body["first"](rows)).relu()
        logits: Tensor = self.classifier(self.body["drop"](hidden))
        return logits


def test_renamed_modules_are_matched_by_structure(before: RecordedRun) -> None:
    compared = compare(before, recorded(Renamed))
    assert compared.is_same()
    assert compared.gradients == 12
    assert ("head", "classifier") in compared.renames
    assert ("fc", "body.first") in compared.renames


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_dtype_is_told_and_is_no_difference_while_values_agree(dtype: torch.dtype) -> None:
    one, other = recorded(lambda: Net(drop=0)), recorded(lambda: Net(drop=0), dtype=dtype)
    compared = compare(one, other)
    assert compared.is_same()
    assert not compared.is_same(strict=True)
    assert compared.widest is not None
    text = document(compared)
    assert text.startswith("same within ")
    assert f"float32 and {str(dtype).removeprefix('torch.')} in " in text


class Centred(nn.Module):
    """A bias that a normalisation takes away again: its gradient is rounding, of which Adam makes whole steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.layers(rows)
        return logits


def test_what_an_optimizer_makes_of_rounding_is_no_difference() -> None:
    compared = compare(recorded(Centred, steps=3), recorded(Centred, steps=3, dtype=torch.float64))
    assert compared.is_same()


def test_without_fingerprints_another_dtype_is_a_difference() -> None:
    one, other = recorded(fingerprint=False), recorded(fingerprint=False, dtype=torch.float64)
    assert not compare(one, other).is_same()


def test_a_tenth_more_learning_rate_is_seen_in_the_first_update(before: RecordedRun) -> None:
    compared = compare(before, recorded(lr=1.1e-2))
    assert compared.first is not None
    assert compared.first.step == 0
    assert "`fc.weight` after `step`" in document(compared)


def test_frozen_weights_part_in_requires_grad(before: RecordedRun) -> None:
    def frozen() -> nn.Module:
        model = Net()
        model.fc.weight.requires_grad_(False)
        return model

    compared = compare(before, recorded(frozen))
    assert compared.first is not None
    assert compared.first.aspect is Aspect.REQUIRES_GRAD
    assert "fc.weight" in {each.what for each in compared.unmatched}


def test_steps_that_only_one_has_are_told_and_not_compared(before: RecordedRun) -> None:
    compared = compare(recorded(steps=1), before)
    assert (compared.steps, compared.only_right) == ((0,), (1,))
    assert "only the second traced step 1" in document(compared)


def test_runs_without_a_common_step_are_refused(before: RecordedRun) -> None:
    with pytest.raises(NothingInCommonError, match="no step in common"):
        compare(before, RecordedRun())


def test_another_pytorch_is_told(before: RecordedRun) -> None:
    other = replace(before, environment=replace(before.environment, torch="9.9"))
    text = document(compare(before, other))
    assert text.startswith("same:")
    assert " and 9.9" in text


def test_another_device_is_told_and_is_no_difference_while_values_agree(before: RecordedRun) -> None:
    moved = replace(
        before,
        steps=tuple(
            replace(
                trace, values=tuple(replace(each, meta=replace(each.meta, device="cuda:0")) for each in trace.values)
            )
            for trace in before.steps
        ),
    )
    compared = compare(before, moved)
    assert compared.is_same()
    assert "device: cpu and cuda:0" in document(compared)


def test_a_number_that_is_none_is_a_difference_however_wide_the_tolerance(before: RecordedRun) -> None:
    def spoiled(value: Value) -> Value:
        return replace(value, fingerprint=value.fingerprint and replace(value.fingerprint, nan=1))

    steps = tuple(replace(trace, values=tuple(map(spoiled, trace.values))) for trace in before.steps)
    assert not compare(before, replace(before, steps=steps), Limits(rtol=1e9)).is_same()


@pytest.mark.parametrize(("rtol", "is_same"), [(1e-9, False), (1.0, True)])
def test_a_tolerance_that_was_asked_for_is_used(*, rtol: float, is_same: bool) -> None:
    one, other = recorded(lambda: Net(drop=0)), recorded(lambda: Net(drop=0), dtype=torch.float64)
    compared = compare(one, other, Limits(rtol=rtol))
    assert compared.is_same() is is_same
    assert "--rtol" in document(compared)


def test_nothing_of_a_users_names_reaches_the_terminal(before: RecordedRun) -> None:
    bad = "\x1b[31mred"
    steps = tuple(
        replace(trace, operations=tuple(replace(each, module=bad, kind=bad) for each in trace.operations))
        for trace in recorded(lambda: Net(drop=0.4)).steps
    )
    hostile = replace(before, steps=steps)
    for pair in ((before, hostile), (hostile, before)):
        assert "\x1b" not in document(compare(*pair), Names(bad, bad))

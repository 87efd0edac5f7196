"""The scripts of strangers: what is healthy stays silent, and each mistake is found where it was made."""

import ast
from pathlib import Path

import pytest

from tensorcheck.catalogue import all_rules
from tests.gallery.exhibits import Exhibit, load_exhibits, run, run_simulated, run_unwatched
from tests.gallery.score import score

_KNOWN = {rule.code for rule in all_rules()}
EXHIBITS = pytest.mark.parametrize("exhibit", load_exhibits(), ids=lambda exhibit: exhibit.name)
OF_KNOWN_RULES = pytest.mark.parametrize(
    "exhibit", [each for each in load_exhibits() if each.rule in _KNOWN], ids=lambda exhibit: exhibit.name
)
NOT_DETECTED = {
    "loop_best_model_is_the_model": "the best are kept in a dict of the parameters, which is no state_dict",
    "loop_eval_of_another_network": "that the statistics are meant to stay is not known",
    "loop_patience_the_wrong_way": "the first epoch is the best, and stays it",
    "loop_validation_set_of_training_rows": "two datasets of equal rows are not known to be one",
    "shape_channels_viewed_to_last": "no rule speaks, for a reason not known",
    "shape_colour_channels_last": "eight rows of eight points in eight bands may be channels first",
    "shape_row_scale_against_columns": "TCK215 says it, as worth knowing",
    "shape_standardised_by_batch": "said as worth knowing",
    "shape_state_of_the_last_batch": "the model itself cuts its state to the batch",
    "shape_ten_outputs_four_classes": "no rule speaks, for a reason not known",
    "shape_windows_reshaped_across": "no rule speaks, for a reason not known",
}
"""At the severity of the truth."""
NOT_LOCATED = {
    "grad_adapter_of_two_zeros": "the step is named, and not what made the zeros",
    "grad_bootstrap_learns_both_ends": "the loss is named, and not the line that lacks a detach",
    "grad_critic_zeroed_twice": "two places zero the gradients of the other model, and the first is named",
    "grad_replay_keeps_values": "the reader of the memory is named, and not its writer",
    "grad_second_norm_unused": "the layer is named, and not the call that was meant for it",
    "loop_first_loss_of_a_hundred": "the loss is named, and not what initialised the layers",
    "loop_logits_into_nll": "the call of the loss is named, and not where it was chosen",
    "loop_softmax_of_one_output": "the call of the model is named, and not the softmax in it",
    "loop_validated_on_train_loader": "the loop over the loader is named, and not who handed it over",
    "shape_second_pool_skipped": "the mistake is a call that is missing; the view that hid it is named instead",
}


CHOOSES_BY_DEVICE: dict[str, str] = {}
"""The scripts whose arithmetic depends on the device, and how."""


def test_there_are_many() -> None:
    assert len(load_exhibits()) >= 120
    assert sum(not each.crashes for each in load_exhibits()) >= 0.5 * len(load_exhibits())


@pytest.mark.xfail(reason="the lists above are longer than that")
def test_at_least_95_of_100_mistakes_are_located() -> None:
    assert len({**NOT_DETECTED, **NOT_LOCATED}) <= 0.05 * len(load_exhibits())


@EXHIBITS
def test_the_truth_names_one_line_that_the_fix_changes(exhibit: Exhibit) -> None:
    lines = [line.strip() for line in exhibit.source("buggy").splitlines()]
    assert lines.count(exhibit.root) == 1
    ast.parse(exhibit.source("buggy"))
    assert exhibit.source("buggy") != exhibit.source("fixed")


@EXHIBITS
def test_a_healthy_script_is_silent_and_trains_as_without_us(exhibit: Exhibit, tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    (tmp_path / "plain").mkdir()
    result = run(exhibit, "fixed", tmp_path / "watched")

    assert result.error == ""
    assert result.steps > 0
    assert result.faults == ()
    assert [finding["headline"] for finding in result.findings if finding["severity"] != "info"] == []
    plain = run_unwatched(exhibit, "fixed", tmp_path / "plain")
    assert result.process == plain
    if exhibit.name not in CHOOSES_BY_DEVICE:
        (tmp_path / "simulated").mkdir()
        assert run_simulated(exhibit, "fixed", tmp_path / "simulated") == plain


@OF_KNOWN_RULES
def test_a_mistake_is_found_where_it_was_made(exhibit: Exhibit, tmp_path: Path) -> None:
    result = run(exhibit, "buggy", tmp_path)

    judged = score(exhibit, result, None)
    assert bool(result.error) is exhibit.crashes
    assert result.faults == ()
    assert judged.detected is (exhibit.name not in NOT_DETECTED), result.texts
    assert judged.located is (exhibit.name not in {**NOT_DETECTED, **NOT_LOCATED}), result.texts

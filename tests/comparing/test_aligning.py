"""Two sequences side by side."""

import difflib
import time

from hypothesis import given
from hypothesis import strategies as st

from tensorcheck.comparing.aligning import align, align_by

SEQUENCES = st.lists(st.integers(0, 3), max_size=12)


@given(SEQUENCES)
def test_a_sequence_is_aligned_with_itself_place_by_place(sequence: list[int]) -> None:
    assert align(sequence, sequence) == [(place, place) for place in range(len(sequence))]


@given(SEQUENCES, SEQUENCES)
def test_every_place_is_told_once_in_order_and_only_equals_are_paired(left: list[int], right: list[int]) -> None:
    pairs = align(left, right)
    assert [one for one, _ in pairs if one is not None] == list(range(len(left)))
    assert [two for _, two in pairs if two is not None] == list(range(len(right)))
    assert all(left[one] == right[two] for one, two in pairs if one is not None and two is not None)


@given(SEQUENCES, SEQUENCES)
def test_no_other_way_pairs_more_than_this_one(left: list[int], right: list[int]) -> None:
    known = sum(
        block.size for block in difflib.SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    )
    assert sum(None not in pair for pair in align(left, right)) >= known


@given(SEQUENCES, st.data())
def test_an_element_that_is_inserted_is_the_only_one_left_over(sequence: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sequence)))
    pairs = align(sequence, [*sequence[:place], "new", *sequence[place:]])
    assert [pair for pair in pairs if None in pair] == [(None, place)]


def test_what_is_left_over_is_matched_by_the_next_key() -> None:
    assert align_by(["a1", "b1", "x9"], ["a1", "c1", "y9"], str, lambda name: name[1]) == [(0, 0), (1, 1), (2, 2)]


def test_long_loops_of_which_each_round_has_one_more_are_aligned_in_a_moment() -> None:
    started = time.perf_counter()
    pairs = align(list(range(8)) * 300, list(range(9)) * 300)
    assert sum(None not in pair for pair in pairs) == 2400
    assert time.perf_counter() - started < 5


def test_sequences_that_have_nothing_in_common_are_left_over_in_a_moment() -> None:
    assert len(align("a" * 4000, "b" * 4000)) == 8000

"""The language of shape strings: what is read, what fits, and what is refused."""

import pytest

from tensorcheck.specs.dims import Computed, Fixed, Ignored, Named, Several
from tensorcheck.specs.shape_strings import ShapeSpec, SpecError, match_shape, read_shape

FITTING = [
    ("", ()),
    ("3", (3,)),
    ("batch 3 h w", (8, 3, 5, 7)),
    ("h h", (4, 4)),
    ("rows=3 cols=4", (3, 4)),
    ("_ _", (1, 2)),
    ("_rows cols", (5, 6)),
    ("...", ()),
    ("...", (1, 2, 3)),
    ("... 3", (3,)),
    ("batch ... 3", (8, 1, 2, 3)),
    ("*batch 3", (4, 5, 3)),
    ("*batch 3", (3,)),
    ("#batch batch", (1, 4)),
    ("#3", (1,)),
    ("#3", (3,)),
    ("h h/2", (8, 4)),
    ("h/2 h", (4, 8)),
    ("h (h-1)//2", (8, 3)),
    ("a b min(a,b)", (3, 5, 3)),
    ("a a*a", (3, 9)),
    ("0", (0,)),
    ("batch", (0,)),
]

NOT_FITTING = [
    ("", (1,), "it has 1 dim and should have 0"),
    ("batch 3", (8,), "it has 1 dim and should have 2"),
    ("batch ... 3", (8,), "it has 1 dim and should have at least 2"),
    ("batch 3", (8, 4), "dim 1 is 4 and should be 3"),
    ("h h", (4, 5), "dim 1 is 5 and should be 'h', which is 4"),
    ("h h/2", (7, 3), "dim 1 is 3 and should be h/2, and 'h' is 7"),
    ("h/2", (3,), "dim 0 should be h/2, and 'h' has no size yet"),
    ("a b a%b", (3, 0, 1), "dim 2 should be a%b, which divides by zero, and 'a' is 3, and 'b' is 0"),
    ("#3", (2,), "dim 0 is 2 and should be 3"),
]

REFUSED = [
    ("batch, 3", "separated by spaces"),
    ("... ...", "only one word"),
    ("*a ...", "only one word"),
    ("a...", "stands alone"),
    ("##a", "same mark twice"),
    ("*4", "only a name"),
    ("_4", "only a name"),
    ("_a+b", "only a name"),
    ("#_", "needs no '#'"),
    ("?a", "trees of tensors"),
    ("a.b", "no arithmetic"),
    ("__import__('os')", "same mark twice"),
    ("open('x')", "no arithmetic"),
    ("a#", "no arithmetic"),
    ("f(a)", "no arithmetic"),
    ("#", "lacks a name"),
    ("a**b", "no arithmetic"),
    ("3.5", "no arithmetic"),
    ("a=b=3", "is no dim"),
    ("(" * 300 + "a" + ")" * 300, "no arithmetic"),
]


@pytest.mark.parametrize(("text", "shape"), FITTING)
def test_a_shape_fits(text: str, shape: tuple[int, ...]) -> None:
    assert match_shape(read_shape(text), shape, {}) is None
    assert read_shape(text).fits(shape, {})


@pytest.mark.parametrize(("text", "shape", "why"), NOT_FITTING)
def test_a_shape_that_does_not_fit_is_told_why(text: str, shape: tuple[int, ...], why: str) -> None:
    mismatch = match_shape(read_shape(text), shape, {})
    assert mismatch is not None
    assert mismatch.why == why
    assert not read_shape(text).fits(shape, {})


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_can_not_be_read_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(SpecError, match=why) as raised:
        read_shape(text)
    assert str(raised.value).endswith("^")


def test_a_name_has_one_size_in_several_shapes() -> None:
    sizes: dict[str, int | tuple[int, ...]] = {"batch": 8}
    assert match_shape(read_shape("batch 3"), (7, 3), sizes) is not None


def test_a_shape_that_does_not_fit_teaches_no_size() -> None:
    sizes: dict[str, int | tuple[int, ...]] = {}
    match_shape(read_shape("batch 3"), (8, 4), sizes)
    assert sizes == {}
    assert not read_shape("batch 3").fits((8, 4), sizes)
    assert sizes == {}


def test_a_starred_name_is_the_same_dims_elsewhere() -> None:
    sizes: dict[str, int | tuple[int, ...]] = {}
    match_shape(read_shape("*batch 3"), (4, 5, 3), sizes)
    mismatch = match_shape(read_shape("*batch"), (4, 6), sizes)
    assert mismatch is not None
    assert mismatch.why == "its dims [4, 6] should be 'batch', which is [4, 5]"


def test_starred_names_that_broadcast_grow_together() -> None:
    sizes: dict[str, int | tuple[int, ...]] = {}
    for shape in ((1, 5), (4, 1), (4, 5), (5,)):
        assert match_shape(read_shape("*#batch"), shape, sizes) is None
    assert sizes == {"batch": (4, 5)}


def test_the_words_of_a_shape_string_are_its_dims() -> None:
    spec = read_shape("#b 3 _ *c h-1")
    assert spec == ShapeSpec(
        (Named("b", broadcasts=True), Fixed(3), Ignored(), Several("c"), spec.dims[4]),
    )
    assert isinstance(spec.dims[4], Computed)
    assert spec.names == ("b", "c")

"""Shape strings mean what they mean to jaxtyping: over its own forms, and over sizes that fit and that do not."""

import itertools

import pytest
import torch
from jaxtyping import AnnotationError, Float, jaxtyped
from torch import Tensor

from tensorcheck.specs.shape_strings import SpecError
from tensorcheck.specs.spec import TensorSpec

# The forms that jaxtyping's documentation of array annotations names, and mistakes that it refuses.
READ = [
    *(
        "",
        "3",
        "4 5",
        "a b c",
        "a a",
        "_",
        "_ 3",
        "_a b",
        "...",
        "... c h w",
        "a ... b",
        "*batch c",
        "*_ c",
        "#a b",
        "#4",
    ),
    *(
        "*#a b",
        "rows=4 cols=3",
        "rows=4",
        "dim-1 dim",
        "dim dim-1",
        "dim dim+1",
        "a b a*b",
        "a b a+b",
        "a min(a,3)",
        "dim dim//2",
    ),
    *("dim dim/2", "a #a", "_a _a", "a=3 a=3", "#rows=4", "a *b", "*b a"),
]
REFUSED = ["a,b", "a#", "a...", "...a", "##a", "**a", "__a", "... ...", "*a *b", "*4", "_4", "#_", "_a+b", "*a+b", "?4"]
SHAPES = [shape for rank in range(4) for shape in itertools.product((1, 2, 3, 4), repeat=rank)]


@pytest.mark.parametrize("text", READ)
def test_a_shape_string_takes_what_it_takes_in_jaxtyping(text: str) -> None:
    spec = TensorSpec(text, dtype="float")
    for shape in SHAPES:
        tensor = torch.zeros(shape)
        try:
            with jaxtyped("context"):
                theirs = isinstance(tensor, Float[Tensor, text])  # type: ignore[arg-type]  # a class, when it runs
        except AnnotationError:  # there a dim can't be computed from one on its right; here it can
            assert text == "dim-1 dim"
            continue
        assert theirs is spec.accepts(tensor)


@pytest.mark.parametrize("text", REFUSED)
def test_what_jaxtyping_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Float[Tensor, text]
    with pytest.raises(SpecError):
        TensorSpec(text)

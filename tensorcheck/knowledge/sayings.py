r"""What PyTorch says of operands that don't fit each other, and how a finding says it: a table.

In the words of a finding, `{left}`, `{right}` and `{third}` are the operands as their user spells them, `{left_shape}`
their shapes, `{function}` what was called; all else are the groups of the message's pattern.
"""

from dataclasses import dataclass
from typing import Literal

Fits = Literal["", "broadcast", "matmul", "bmm", "index", "same", "grow"]


@dataclass(frozen=True, slots=True)
class Saying:
    """One message."""

    pattern: str
    headline: str
    wanted: str
    operands: tuple[int, ...] = (0, 1)
    """Which of the call's operands it is about, in the order in which the line spells them."""
    guilty: int = 1
    """Which of these is likelier to be wrong."""
    fits: Fits = ""
    """What an edit of one of the two has to bring about."""
    functions: tuple[str, ...] = ()
    """The functions that say this with another meaning than others do."""


_BROADCAST = (
    r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\) at non-singleton "
    r"dimension (?P<dim>\d+)"
)
_PRODUCT = r"mat1 and mat2 shapes cannot be multiplied \((?P<a>\d+)x(?P<b>\d+) and (?P<c>\d+)x(?P<d>\d+)\)"
_BATCHES = (
    r"Expected size for first two dimensions of batch2 tensor to be: \[(?P<n>\d+), (?P<a>\d+)\] but got: "
    r"\[(?P<m>\d+), (?P<b>\d+)\]"
)
_EXPANDED = (
    r"The expanded size of the tensor \((?P<a>\d+)\) must match the existing size \((?P<b>\d+)\) at non-singleton "
    r"dimension (?P<dim>\d+)\.\s+Target sizes: (?P<target>\[[\d, ]*\])\.\s+Tensor sizes: (?P<given>\[[\d, ]*\])"
)
SAYINGS: tuple[Saying, ...] = (
    Saying(
        _BROADCAST,
        "{left} and {right} are batches of {a} and {b} matrices in dim {dim}",
        "[{a}, *, *], a matrix for each of {left}",
        fits="matmul",
        functions=("matmul", "bmm"),
    ),
    Saying(
        _BROADCAST,
        "{left} and {right} have sizes {a} and {b} in dim {dim}",
        "{right_dtype}{left_shape}, or 1 in a dim",
        fits="broadcast",
    ),
    Saying(
        r"output with shape (?P<out>\[[\d, ]*\]) doesn't match the broadcast shape (?P<met>\[[\d, ]*\])",
        "{left} is {out}, but the result that it is to hold is {met}",
        "what broadcasts to {out}",
        fits="grow",
    ),
    Saying(
        _PRODUCT,
        "{left} has {b} features, but {right} takes {c}",
        "{right_dtype}[{d}, {b}]",
        functions=("linear",),
    ),
    Saying(
        _PRODUCT,
        "{left} has {b} columns, but {right} has {c} rows",
        "[{b}, *], as many rows as {left} has columns",
        fits="matmul",
    ),
    Saying(
        r"size mismatch, got input \(\d+\), mat \((?P<a>\d+)x(?P<b>\d+)\), vec \((?P<c>\d+)\)",
        "{left} has {b} columns, but {right} has {c} elements",
        "[{b}]",
        fits="matmul",
    ),
    Saying(
        r"inconsistent tensor size, expected tensor \[(?P<a>\d+)\] and src \[(?P<b>\d+)\]",
        "{left} has {a} elements, but {right} has {b}",
        "[{a}], as many elements as {left} has",
    ),
    Saying(
        r"1D tensors expected, but got (?P<a>\d)D and (?P<b>\d)D tensors",
        "{function} takes 1 dim but got {a} in {left} and {b} in {right}",
        "1 dim in each",
        guilty=0,
    ),
    Saying(
        _BATCHES,
        "{left} has {a} features a head, but {right} has {b}",
        "[*, {a}], the features of {left}",
        fits="same",
        functions=("scaled_dot_product_attention",),
    ),
    Saying(
        _BATCHES,
        "{left} is {n} matrices of {a} columns, but {right} {m} of {b} rows",
        "[{n}, {a}, *]",
        fits="bmm",
    ),
    Saying(
        r"batch1 must be a 3D tensor",
        "{function} takes 3 dims but got {left_rank} in {left}",
        "[batch, n, m]",
        guilty=0,
    ),
    Saying(
        r"batch2 must be a 3D tensor",
        "{function} takes 3 dims but got {right_rank} in {right}",
        "[batch, m, k]",
    ),
    Saying(
        r"^self must be a matrix",
        "{function} takes 2 dims but got {left_rank} in {left}",
        "[n, m]",
        guilty=0,
    ),
    Saying(r"^mat2 must be a matrix", "{function} takes 2 dims but got {right_rank} in {right}", "[m, k]"),
    Saying(
        r"both arguments to (?:matmul|linear) need to be at least 1D, but they are (?P<a>\d)D and (?P<b>\d)D",
        "{left} and {right} have {a} and {b} dims, where each needs at least 1",
        "at least 1 dim in each",
    ),
    Saying(
        r"outer: Expected 1-D argument self, but got (?P<a>\d)-D",
        "{function} takes 1 dim but got {a} in {left}",
        "1 dim in each",
        guilty=0,
    ),
    Saying(
        r"outer: Expected 1-D argument \w+, but got (?P<a>\d)-D",
        "{function} takes 1 dim but got {a} in {right}",
        "1 dim in each",
    ),
    Saying(
        _EXPANDED,
        "{third} has {b} elements, but the result has {a} features",
        "[{a}], as the result {target} has",
        operands=(0, 1, 2),
        guilty=2,
        functions=("linear", "addmm", "baddbmm"),
    ),
    Saying(
        _EXPANDED,
        "{left} can't become {target}: its size in dim {dim} is {b}, not {a}",
        "{a} or 1 in dim {dim} of {target}",
        operands=(0,),
        guilty=0,
        functions=("expand", "expand_as", "broadcast_to"),
    ),
    Saying(
        _EXPANDED,
        "{left} has room for {target} there, but {given} came",
        "{target}, {a} and not {b} in dim {dim}",
    ),
    Saying(
        r"expand\(.*\{(?P<given>\[[\d, ]*\])\}, size=(?P<target>\[[-\d, ]*\])\): the number of sizes provided "
        r"\((?P<a>\d+)\) must be greater or equal to the number of dimensions in the tensor \((?P<b>\d+)\)",
        "{left} has {b} dims and is expanded to {a}: {target}",
        "at least {b} sizes, one for each dim",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor",
        "{left} has {left_rank} dims, but fewer repeats were given",
        "at least {left_rank} repeats, one for each dim",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"contracted dimensions need to match, but first has size (?P<a>\d+) in dim (?P<i>-?\d+) and second has size "
        r"(?P<b>\d+) in dim (?P<j>-?\d+)",
        "{left} has size {a} in dim {i}, but {right} has {b} in dim {j}",
        "{a} in dim {j}",
    ),
    Saying(
        r"linalg\.cross: inputs dimension (?P<dim>-?\d+) must have length 3\. Got (?P<a>\d+) and (?P<b>\d+)",
        "{function} takes 3 numbers in dim {dim} of {left} but got {a}",
        "3 in dim {dim} of each",
        guilty=0,
    ),
    Saying(
        r"Incompatible shapes of A and B for the equation \S+ \S+ \S+ \((?P<a>\d+)x\d+ and (?P<c>\d+)x(?P<d>\d+)\)",
        "{left} has {a} rows, but {right} has {c}",
        "[{a}, {d}]",
    ),
    Saying(
        r"A must be batches of square matrices, but they are (?P<a>\d+) by (?P<b>\d+) matrices",
        "{function} takes square matrices but got {a} rows and {b} columns",
        "as many rows as columns",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"X1 and X2 must have the same number of columns\. X1: (?P<a>\d+) X2: (?P<b>\d+)",
        "{left} has {a} columns, but {right} has {b}",
        "[*, {a}], as many columns as {left} has",
    ),
    Saying(
        r"expected grid and input to have same batch size, but got input with sizes \[(?P<a>\d+)[\d, ]*\] and grid "
        r"with sizes \[(?P<b>\d+)",
        "{left} is a batch of {a}, but {right} is one of {b}",
        "[{a}, h, w, 2], a grid for each image",
    ),
    Saying(
        r"expected grid to have size (?P<a>\d) in last dimension, but got grid with sizes (?P<b>\[[\d, ]*\])",
        "{right} is {b}, where the last dim should hold {a} coordinates",
        "[*, {a}]",
    ),
    Saying(
        r"affine matrices of shape (?P<a>\w+) for size (?P<size>\([\d, ]*\))\. Got torch\.Size\((?P<b>\[[\d, ]*\])",
        "{left} is {b}, not {a} as {function} takes it",
        "{a}, a matrix for each of {size}",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"to all be\s+at least 2 dimensional, but got query\.dim: (?P<a>\d)",
        "{function} takes at least 2 dims but got {left_rank} in {left}",
        "[*, seq, features]",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"value tensor of shape (?P<b>\[[\d, ]*\]) cannot be broadcast to indexing result of shape (?P<a>\[[\d, ]*\])",
        "the indices choose {a} of {left}, but {b} is put there",
        "what broadcasts to {a}",
    ),
    Saying(
        r"indexing tensors could not be broadcast together with shapes (?P<a>\[[\d, ]*\]), (?P<b>\[[\d, ]*\])",
        "the indices into {left} have shapes {a} and {b}",
        "indices of one shape, or ones that broadcast",
        operands=(0, 1, 2),
        guilty=2,
    ),
    Saying(
        r"The shape of the mask (?P<a>\[[\d, ]*\]) at index (?P<i>\d+) does not match the shape of the indexed tensor "
        r"(?P<b>\[[\d, ]*\]) at index (?P<j>\d+)",
        "{right} is a mask for {a}, but {left} is {b}",
        "a mask for {b}, or for its first dims",
    ),
    Saying(
        r"Index tensor must have the same number of dimensions as (?:input|self) tensor",
        "{right} and {left} have {right_rank} and {left_rank} dims",
        "{left_rank} dims, as {left} has",
        fits="index",
    ),
    Saying(
        r"Size does not match at dimension (?P<dim>\d+) expected index (?P<a>\[[\d, ]*\]) to be no larger than self "
        r"(?P<b>\[[\d, ]*\]) apart from dimension (?P<free>\d+)",
        "{right} is {a}, which reaches over {b} in dim {dim}",
        "no more than {b}, but for dim {free}",
    ),
    Saying(
        r"Expected index (?P<a>\[[\d, ]*\]) to be no larger than self (?P<b>\[[\d, ]*\]) apart from dimension "
        r"(?P<free>\d+) and to be no larger size than src (?P<c>\[[\d, ]*\])",
        "{right} is {a}, which reaches over {b} or {third}'s {c}",
        "no more than {b}, but for dim {free}, and no more than {c}",
        operands=(0, 1, 2),
    ),
    Saying(
        r"Number of indices \((?P<a>\d+)\) should be equal to source\.size\(dim\): \((?P<b>\d+)\), for dim: "
        r"(?P<dim>\d+)",
        "{right} has {a} indices, but {third} has {b} rows in dim {dim}",
        "as many indices as {third} has rows",
        operands=(0, 1, 2),
    ),
    Saying(
        r"Number of elements of source < number of ones in mask",
        "{right} has fewer values than the mask of {function} chooses",
        "at least as many elements as the mask is true",
        operands=(0, -1),
    ),
    Saying(
        r"Value is not broadcastable with batch_shape\+event_shape: torch\.Size\((?P<a>\[[\d, ]*\])\) vs torch\.Size\("
        r"(?P<b>\[[\d, ]*\])\)",
        "{function} got {a}, but the distribution is over {b}",
        "what broadcasts with {b}",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes (?P<a>\[[\d, ]*\])",
        "vmap maps over dims of sizes {a}",
        "one size in the mapped dim",
    ),
    Saying(
        r"attempting to assign a gradient of size '(?P<a>\[[\d, ]*\])' to a tensor of size '(?P<b>\[[\d, ]*\])'",
        "{left} is {b}, but its `grad` was given {a}",
        "{b}, the shape of {left}",
        fits="same",
    ),
    Saying(
        r"weight of size \[[\d, ]*\], expected input\[[\d, ]*\] to have (?P<a>\d+) channels, but "
        r"got (?P<b>\d+) channels",
        "{left} is {left_shape}, but {right} takes {a} channels",
        "{a} channels in dim 1",
        guilty=0,
    ),
    Saying(
        r"Given normalized_shape=(?P<a>\[[\d, ]*\]), expected input with shape \[\*,? ?(?P<c>[\d, ]*)\], but got input "
        r"of size\s?(?P<b>\[[\d, ]*\])",
        "{left} is {b}, which does not end with {a}",
        "[*, {c}]",
        operands=(0,),
        guilty=0,
    ),
    Saying(
        r"running_mean should contain (?P<b>\d+) elements not (?P<a>\d+)",
        "{left} has {b} channels, but {right} has {a}",
        "{a} channels in dim 1",
        guilty=0,
    ),
)

"""The command `tensorcheck fuzz`: the smallest input that breaks a model, and a test of it."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tensorcheck.cli.naming import named
from tensorcheck.specs.shape_strings import SpecError
from tensorcheck.specs.spec import TensorSpec

if TYPE_CHECKING:
    from torch import Tensor

_WRITTEN_OUT = 64
"""Values of a tensor up to which a test writes them all."""


@dataclass(frozen=True, slots=True)
class Break:
    """What broke, and the inputs that did it."""

    inputs: "tuple[Tensor, ...]"
    why: str
    is_training: bool


@click.command()
@click.argument("factory", metavar="MODULE:MAKE_MODEL")
@click.option("--input", "inputs", multiple=True, required=True, metavar="DIMS", help='Such as "batch 3 32 32".')
@click.option("--dtype", "dtypes", multiple=True, metavar="NAME", help="Of each input in turn; float32.")
@click.option("--values", type=(float, float), default=(-10, 10), show_default=True, help="Between which values lie.")
@click.option("--max-size", type=click.IntRange(1), default=5, show_default=True, help="Of a dim that has a name.")
@click.option("--empty", is_flag=True, help="Try sizes of 0 too.")
@click.option("--nonfinite", is_flag=True, help="Try NaN and infinity too; then an answer may hold them.")
@click.option("--train", is_flag=True, help="Run the model in training mode, and a backward pass.")
@click.option("--examples", type=click.IntRange(1), default=200, show_default=True, help="How many inputs are tried.")
def fuzz(  # noqa: PLR0913 - one parameter an option
    *,
    factory: str,
    inputs: Sequence[str],
    dtypes: Sequence[str],
    values: tuple[float, float],
    max_size: int,
    empty: bool,
    nonfinite: bool,
    train: bool,
    examples: int,
) -> None:
    """Find the smallest input that breaks a model.

    A test of it is printed.

    MODULE:MAKE_MODEL is called without arguments; a class of models will do. The dims of an input are as in shape
    strings: numbers, names, `...`, arithmetic; a name is the same size in all inputs. An input breaks the model where
    it raises, or where it answers with NaN or infinity to numbers that are finite.

    Exit codes: 1 where an input was found, 2 for wrong usage, otherwise 0.
    """
    names = [*dtypes, *[dtypes[-1] if dtypes else "float32"] * len(inputs)]
    try:
        specs = [TensorSpec(text, dtype=name) for text, name in zip(inputs, names, strict=False)]
    except (SpecError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    make = named("MODULE:MAKE_MODEL", factory)
    try:
        from tensorcheck import strategies  # noqa: PLC0415 - it needs hypothesis
    except ImportError as error:
        raise click.UsageError(str(error)) from error
    drawn = {"max_size": max_size, "values": values, "allow_empty": empty, "allow_nonfinite": nonfinite}
    found = _searched(make, specs, strategies.several, drawn, is_training=train, examples=examples)
    if found is None:
        click.echo(f"{factory} took {examples} inputs, and none broke it")
        return
    click.echo(f"{factory} breaks: {found.why}\n\n{_test(factory, found)}")
    raise SystemExit(1)


def _searched(  # noqa: PLR0913 - what the command was given
    make: Callable[[], Any],
    specs: Sequence[TensorSpec],
    several: Callable[..., Any],
    drawn: Mapping[str, Any],
    *,
    is_training: bool,
    examples: int,
) -> Break | None:
    """The smallest inputs that break the model, by hypothesis."""
    from hypothesis import HealthCheck, Phase, find, settings  # noqa: PLC0415 - the command needs it alone
    from hypothesis.errors import NoSuchExample  # noqa: PLC0415 - likewise

    asked = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    reasons: dict[str, None] = {}

    def breaks(inputs: "tuple[Tensor, ...]") -> bool:
        why = _why(make, inputs, is_training=is_training)
        if why and not reasons:
            reasons[_kind(why)] = None
        return bool(why) and _kind(why) in reasons  # what is made smaller must break for the same reason

    try:
        with redirect_stderr(io.StringIO()):
            inputs = find(several(specs, drawn), breaks, settings=asked)
    except NoSuchExample:
        return None
    return Break(inputs, _why(make, inputs, is_training=is_training), is_training)


def _kind(why: str) -> str:
    """The exception of a reason, without what its message says of this input."""
    return why.partition(":")[0]


def _why(make: Callable[[], Any], inputs: "tuple[Tensor, ...]", *, is_training: bool) -> str:
    """Why the model breaks with these inputs; empty where it does not."""
    import torch  # noqa: PLC0415 - `--help` does without

    from tensorcheck.observe.describe import leaves  # noqa: PLC0415 - likewise

    torch.manual_seed(0)
    model = make().train(is_training)
    try:
        answers = dict(leaves(model(*[each.clone() for each in inputs]), "output"))
        graded = [each.sum().real for each in answers.values() if each.requires_grad]
        if is_training and graded:
            sum(graded[1:], graded[0]).backward()
    except Exception as error:  # noqa: BLE001 - whatever the model raises
        return _told(error)
    if not all(bool(torch.isfinite(each).all()) for each in inputs):
        return ""
    bad = [name for name, each in answers.items() if not bool(torch.isfinite(each).all())]
    return f"not finite: `{bad[0]}`, of numbers that are finite" if bad else ""


def _told(error: Exception) -> str:
    first = str(error).split("\n", maxsplit=1)[0]
    return f"{type(error).__name__}: {first}"


def _test(factory: str, found: Break) -> str:
    """A test that fails as long as the model breaks."""
    module, _, name = factory.partition(":")
    head = name.split(".", maxsplit=1)[0]
    arguments = ", ".join(_written(each) for each in found.inputs)
    lines = [
        "import torch",
        "",
        f"from {module} import {head}",
        "from tensorcheck.testing import assert_finite",
        "",
        "",
        f"def test_{_snake(name)}_takes_this_input():",
        "    torch.manual_seed(0)",
        f"    model = {name}().{'train' if found.is_training else 'eval'}()",
        f"    output = model({arguments})",
        "    assert_finite(output)",
    ]
    return "\n".join(lines)


def _written(tensor: "Tensor") -> str:
    """Source that makes the tensor."""
    shape = ", ".join(map(str, tensor.shape))
    dtype = "" if str(tensor.dtype) == "torch.float32" else f", dtype={tensor.dtype}"
    if not tensor.numel() or not bool((tensor != 0).any()):
        return f"torch.zeros({shape or '()'}{dtype})"
    values = tensor.flatten().tolist()
    if len(set(map(repr, values))) == 1:
        return f"torch.full(({shape},), {_number(values[0])}{dtype})"
    if len(values) <= _WRITTEN_OUT:
        return f"torch.tensor({_numbers(tensor.tolist())}{dtype})"
    places = [(index, value) for index, value in enumerate(values) if value]
    flat = f"torch.zeros({len(values)}{dtype})"
    where, what = [index for index, _ in places], _numbers([value for _, value in places])
    return f"{flat}.index_put((torch.tensor({where}),), torch.tensor({what}{dtype})).reshape({shape})"


def _numbers(values: Any) -> str:  # noqa: ANN401 - nested lists of numbers
    return f"[{', '.join(map(_numbers, values))}]" if isinstance(values, list) else _number(values)


def _number(value: object) -> str:
    """A number as source; NaN and infinity have no literal."""
    text = repr(value)
    return f'float("{text}")' if text in ("nan", "inf", "-inf") else text


def _snake(name: str) -> str:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name.replace(".", "_"))
    return words.strip("_")

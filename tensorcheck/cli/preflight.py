"""The command `tensorcheck preflight`: a training step of a model before it costs anything."""

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tensorcheck.cli.naming import named
from tensorcheck.findings import Severity
from tensorcheck.report import FORMATS, Report, format_of

_BATCH = 2
"""How large a dimension called `batch` is that is given no size."""
_WORD = re.compile(r"(?P<name>[A-Za-z_]\w*)?(?:(?<=\w)=)?(?P<size>\d+)?")
_OF_CLASSES = frozenset({"cross_entropy", "nll_loss", "multi_margin_loss"})
"""The losses whose targets are numbers of classes."""


class SpecError(click.UsageError):
    """Dimensions that can't be read; the place in them is shown."""

    def __init__(self, text: str, place: int, why: str) -> None:
        super().__init__(f"{why}\n  {text}\n  {' ' * place}^")


@click.command()
@click.argument("factory", metavar="MODULE:MAKE_MODEL")
@click.option("--input", "inputs", multiple=True, required=True, metavar="DIMS", help='Such as "batch=32 3 224 224".')
@click.option("--dtype", "dtypes", multiple=True, metavar="NAME", help="Of each input in turn; float32.")
@click.option("--target", metavar="DIMS", help='Such as "batch=32".')
@click.option("--target-dtype", metavar="NAME", help="By default what the loss takes.")
@click.option("--loss", metavar="NAME", help="A loss of torch.nn.functional, or module:function.")
@click.option("--optimizer", metavar="NAME", help="A class of torch.optim, such as AdamW.")
@click.option("--device", metavar="NAME", help="Such as cuda, which need not be there.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path, dir_okay=False), metavar="PATH")
@click.option("--fail-on", type=click.Choice(["error", "warning", "never"]), default="error", show_default=True)
def preflight(  # noqa: PLR0913 - one parameter an option
    *,
    factory: str,
    inputs: Sequence[str],
    dtypes: Sequence[str],
    target: str | None,
    target_dtype: str | None,
    loss: str | None,
    optimizer: str | None,
    device: str | None,
    form: str,
    reports: Sequence[Path],
    fail_on: str,
) -> None:
    """Check a training step of a model before it costs anything.

    It is made without values, and the report says what is wrong with it and what it takes. MODULE:MAKE_MODEL is called
    without arguments, on the meta device, so that nothing is allocated; a class of models will do. The dimensions of an
    input are numbers and names in the order of the tensor; equal names are equal sizes, and a name has its size after
    `=` where it first stands. Only `batch` may go without: it is 2.

    Exit codes: 1 where the step fails or something was found, 2 for wrong usage, otherwise 0.
    """
    for path in reports:
        _refuse_suffix(path)
    sizes: dict[str, int] = {}
    shapes = [_shape(text, sizes) for text in inputs]
    wanted = _shape(target, sizes) if target is not None else None
    report = _made(factory, shapes, dtypes, wanted, target_dtype, loss, optimizer, device)
    for path in reports:
        report.save(path)
    click.echo(report.render(form).rstrip("\n"))
    learned = report.record.preflight
    is_bad = fail_on != "never" and any(found.severity >= Severity(fail_on) for found in report.findings)
    is_failed = learned is not None and bool(learned.failure) and fail_on != "never"
    raise SystemExit(int(is_bad or is_failed))


def _refuse_suffix(path: Path) -> None:
    try:
        format_of(path)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _made(  # noqa: PLR0913, PLR0917 - what the command was given
    factory: str,
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    wanted: tuple[int, ...] | None,
    target_dtype: str | None,
    loss: str | None,
    optimizer: str | None,
    device: str | None,
) -> Report:
    import torch  # noqa: PLC0415 - `--help` does without

    from tensorcheck.experiment.strict_meta import OnMeta  # noqa: PLC0415 - likewise
    from tensorcheck.preflighting import preflight as check  # noqa: PLC0415 - likewise

    make = named("MODULE:MAKE_MODEL", factory)
    loss_fn = _of_torch("--loss", loss, torch.nn.functional) if loss is not None else None
    kind = _of_torch("--optimizer", optimizer, torch.optim) if optimizer is not None else None
    names = [*dtypes, *[dtypes[-1] if dtypes else "float32"] * len(shapes)]
    batch: tuple[Any, ...] = tuple(
        torch.empty(shape, dtype=_dtype("--dtype", name), device="meta")
        for shape, name in zip(shapes, names, strict=False)
    )
    if wanted is not None:
        name = target_dtype or ("int64" if loss in _OF_CLASSES else "float32")
        batch = (*batch, torch.empty(wanted, dtype=_dtype("--target-dtype", name), device="meta"))
    elif loss is not None:
        msg = "--loss needs a --target"
        raise click.UsageError(msg)
    try:
        with OnMeta():
            model = make()
        inspect.signature(model.forward).bind(*batch[: len(shapes)])
        return check(model, batch if len(batch) > 1 else batch[0], loss_fn, kind, device)
    except (TypeError, ValueError, RuntimeError) as error:  # of a factory, or of a device that nobody knows
        raise click.UsageError(str(error)) from error


def _shape(text: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """The sizes of a dimension string; named ones are remembered.

    >>> sizes = {}
    >>> _shape("batch=32 3 h=224 h", sizes), _shape("batch", sizes)
    ((32, 3, 224, 224), (32,))
    """
    found = []
    for word in re.finditer(r"\S+", text):
        match = _WORD.fullmatch(word[0])
        if match is None or ("=" in word[0] and match["size"] is None):
            raise SpecError(text, word.start(), f"{word[0]!r} is no dimension: it is a number, a name or name=number")
        name, size = match["name"], match["size"]
        if name is not None and size is not None and sizes.setdefault(name, int(size)) != int(size):
            raise SpecError(text, word.start(), f"{name!r} is {sizes[name]} elsewhere")
        if name == "batch":
            sizes.setdefault(name, _BATCH)
        if name is not None and name not in sizes:
            raise SpecError(text, word.start(), f"{name!r} has no size: write {name}=…")
        found.append(int(size) if name is None else sizes[name])
    return tuple(found)


def _of_torch(option: str, name: str, home: Any) -> Callable[..., Any]:  # noqa: ANN401 - a module
    if ":" in name:
        return named(option, name)
    found: Callable[..., Any] | None = getattr(home, name, None)
    if not callable(found):
        msg = f"{option}: {home.__name__} has no {name!r}"
        raise click.UsageError(msg)
    return found


def _dtype(option: str, name: str) -> Any:  # noqa: ANN401 - torch is imported late
    import torch  # noqa: PLC0415 - likewise

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        msg = f"{option}: {name!r} is no dtype of PyTorch, such as float32 or int64"
        raise click.UsageError(msg)
    return dtype

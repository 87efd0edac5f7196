"""What makes a layer and its input fit: the number that the layer is built with, or another form of the tensor."""

from collections.abc import Iterator, Sequence

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.contracts import contract_of
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.misfits import Misfit, is_of_images, is_unflattened
from tensorcheck.knowledge.reshaping import enclosed, refits
from tensorcheck.lineage_wording import written
from tensorcheck.modules import ModuleMeta
from tensorcheck.wording import replaced_number, title, with_setting


def sure_help(call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> str:
    """The layer's own line with the number that fits, where no other dim of the tensor has the number that it has."""
    is_plain = isinstance(layer.settings.get(misfit.setting), int) and not misfit.divides
    if not is_plain or misfit.wanted in misfit.operand.meta.shape or is_unflattened(misfit):
        return ""
    return with_setting(call, layer, misfit.setting, misfit.came) or ""


def fixes_of(call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> Iterator[Fix]:
    """The number that the layer is built with, and the tensor; the tensor first where its dims hold what is wanted."""
    if is_unflattened(misfit):
        yield _flattened(layer, misfit.operand)
    yield from _settings(call, layer, misfit)
    if not misfit.divides and not is_of_images(misfit):
        yield from refits(misfit.operand, lambda shape: _would_fit(layer, misfit, shape), flattening=False)


def _flattened(layer: ModuleMeta, given: Operand) -> Fix:
    """All dims but the batch in one, by a layer where the tensor has no name of its own."""
    code = f"{enclosed(given.spelled)}.flatten(1)" if given.site is not None else f"nn.Flatten() before {title(layer)}"
    return Fix(code, (ChangeOperand(given.name, "flatten", (1,)),))


def _would_fit(layer: ModuleMeta, misfit: Misfit, shape: tuple[int, ...]) -> bool:
    """Whether the layer would take such a shape, with the batch where it is now."""
    contract, given = contract_of(layer), misfit.operand.meta.shape
    if shape[:1] != given[:1] or len(shape) > len(given):
        return False
    is_ranked = contract is None or not contract.ranks or len(shape) in contract.ranks
    dim = contract.sizes[0].dim if contract is not None and contract.sizes else misfit.dim
    return is_ranked and -len(shape) <= dim < len(shape) and shape[dim] == misfit.wanted


def _settings(call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> Iterator[Fix]:
    """The layer, built for what came."""
    old = layer.settings.get(misfit.setting)
    if misfit.divides:
        values: Sequence[object] = [number for number in range(misfit.wanted, 0, -1) if misfit.came % number == 0]
        values = values if old == misfit.wanted else ()
    elif misfit.setting == "output_size":
        values = ()
    else:
        values = [tuple(misfit.operand.meta.shape[-len(old) :]) if isinstance(old, tuple) else misfit.came]
    for value in values:
        line = with_setting(call, layer, misfit.setting, value) or _rewritten(call, misfit.setting, old, value)
        yield Fix(line or f"{misfit.setting}={value}", (ChangeSetting(misfit.setting, value),))


def _rewritten(call: FailedCall, setting: str, old: object, new: object) -> str:
    """The line where a layer's number was written, if that is not where the layer is built, with another number."""
    places = written(call.made.get(setting), old)
    if not places or not isinstance(old, int) or not isinstance(new, int):
        return ""
    return replaced_number(places[-1].site.source.strip(), old, new) or ""

"""How rules tell of what made a layer's weights what they are."""

from collections.abc import Iterator

from tensorcheck.calls import Cause, FailedCall
from tensorcheck.findings import Related
from tensorcheck.knowledge.placement import are_apart


def dtype_cause(call: FailedCall, weight: str, given: str) -> Cause | None:
    """What gave a layer's weights their dtype; of a layer that a conversion did not reach, what kept it from that.

    >>> dtype_cause(FailedCall("Linear", "layer"), "bfloat16", "float32") is None
    True
    """
    causes = [cause for cause in call.causes if cause.quality == "dtype"]
    return next((cause for cause in causes if cause.value == (given if _is_kept(cause) else weight)), None)


def device_cause(call: FailedCall, weight: str, given: str) -> Cause | None:
    """The same, of the device.

    >>> device_cause(FailedCall("Linear", "layer"), "meta", "cpu") is None
    True
    """
    causes = [cause for cause in call.causes if cause.quality == "device" and cause not in without_values(call)]
    fitting = (cause for cause in causes if not are_apart(cause.value, given if _is_kept(cause) else weight))
    return next(fitting, None)


def without_values(call: FailedCall) -> tuple[Cause, ...]:
    """What should have given a layer on meta its values, and did not.

    >>> without_values(FailedCall("Linear", "layer"))
    ()
    """
    return tuple(cause for cause in call.causes if cause.kind in ("emptied", "copied"))


def _is_kept(cause: Cause) -> bool:
    return cause.kind == "unregistered"


def told(cause: Cause) -> Related:
    """The place, and what it did.

    >>> from tensorcheck.sites import Site
    >>> told(Cause("conversion", "dtype", "net", "float16", Site("train.py", 9, code="net.half()"))).note
    '`net` is made float16 here'
    """
    match cause.kind, cause.quality:
        case "conversion", "dtype":
            note = f"`{cause.name}` is made {cause.value} here"
        case "conversion", "device":
            note = f"`{cause.name}` is moved to {cause.value} here"
        case "default", _:
            note = f"the default {cause.quality} is {cause.value} from here on"
        case "emptied", _:
            note = f"`{cause.name}` alone is given memory here"
        case "copied", _:
            note = f"what is loaded into `{cause.name}` here is copied, and a tensor on meta keeps no copy"
        case "context", _:
            note = f"what is built in this block is on {cause.value}"
        case _:
            note = f"`{cause.name}` registers no modules: what is done to the model does not reach them"
    return Related(cause.site, f"likely: {note}" if cause.is_likely else note)


def notes_on(cause: Cause | None) -> tuple[str, ...]:
    """What a reader may not know of such a cause.

    >>> notes_on(None)
    ()
    """
    if cause is None or cause.kind != "conversion":
        return ()
    if cause.is_copy_meant:
        return ("a module is converted in place: what the method returns is the module itself, no copy",)
    return (f"either the conversion of `{cause.name}` is not meant, or the input lacks one",)


def cure(cause: Cause | None) -> str:
    """What to write instead, where there is one way: a container that registers, or the conversion of a copy.

    >>> from tensorcheck.sites import Site
    >>> line = Site("net.py", 9, code="self.blocks = [Block(8) for _ in range(3)]")
    >>> cure(Cause("unregistered", "device", "self.blocks", "cpu", line))
    'self.blocks = nn.ModuleList([Block(8) for _ in range(3)])'
    """
    return next(_cures(cause), "") if cause is not None else ""


def _cures(cause: Cause) -> Iterator[str]:
    code = cause.site.code
    name, equals, value = code.partition(" = ")
    if cause.kind == "unregistered" and equals and name == cause.name:
        yield from (f"{name} = nn.{kind}({value})" for kind, first in _CONTAINERS.items() if value.startswith(first))
    elif cause.kind == "emptied" and "." in cause.name and code.startswith(cause.name):
        yield code.replace(cause.name, cause.name.rpartition(".")[0], 1)
    elif cause.kind == "copied" and code.endswith(")"):
        yield f"{code[:-1]}, assign=True)"
    elif cause.is_copy_meant and code.startswith(cause.name):
        yield f"copy.deepcopy({cause.name}){code.removeprefix(cause.name)}"


_CONTAINERS = {"ModuleList": "[", "ModuleDict": "{"}

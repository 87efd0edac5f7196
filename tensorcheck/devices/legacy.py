"""The old classes of an accelerator's tensors: `torch.cuda.FloatTensor`."""

from typing import Any

import torch
from torch import Tensor

from tensorcheck.devices.moving import to_device
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import current

_NAMES = ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double")


def replace_classes(replacements: Replacements, kind: str) -> None:
    """Let the module of this kind of device have its classes."""
    module = getattr(torch, kind)
    for name in _NAMES:
        if hasattr(module, f"{name}Tensor"):
            body = {"kind": kind, "plain": getattr(torch, f"{name}Tensor"), "__module__": f"torch.{kind}"}
            replacements.put(module, f"{name}Tensor", _OldClass(f"{name}Tensor", (), body))


class _OldClass(type):
    """A class that has no instances of its own: its tensors are tensors like others."""

    kind: str
    plain: Any

    def __call__(cls, *args: Any) -> Tensor:
        return to_device(cls.plain(*args), current(cls.kind))

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.type() == f"torch.{cls.kind}.{cls.__name__}"

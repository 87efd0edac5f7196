"""Random numbers of a device: a generator that says it is there, and draws on the CPU."""

import weakref
from typing import Any, Self

import torch

from tensorcheck.devices.scope import wanted

RealGenerator = torch._C.Generator


_MADE: "weakref.WeakValueDictionary[int, SimulatedGenerator]" = weakref.WeakValueDictionary()
"""By the address of what draws."""


class _AnyGenerator(type(RealGenerator)):  # type: ignore[misc]  # of C
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RealGenerator)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, RealGenerator)


class SimulatedGenerator(RealGenerator, metaclass=_AnyGenerator):
    """`torch.Generator` while something is simulated."""

    def __new__(cls, device: Any = "cpu") -> Self:
        """One that draws on the CPU, whatever it is asked for."""
        place = wanted(device)
        made: Any = super().__new__(cls, "cpu" if place is not None else device)  # type: ignore[call-arg]  # of C
        made._place = place
        _MADE[made._cdata] = made
        return made  # type: ignore[no-any-return]  # likewise

    def __init__(self, *_: object) -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # it is one there too
        """The device that it was made for."""
        return self._place or RealGenerator.device.__get__(self)  # type: ignore[attr-defined]  # likewise


def check_generator(generator: Any, place: torch.device) -> None:
    """A generator must be on the device that it draws for."""
    found = _MADE.get(generator._cdata, generator).device.type
    if found != place.type:
        msg = f"Expected a '{place.type}' device type for generator but found '{found}'"
        raise RuntimeError(msg)

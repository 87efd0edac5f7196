"""Random numbers of a device: a generator that says it is there, and draws on the CPU."""

import weakref
from typing import Any

import torch

from tensorcheck.devices.scope import wanted

RealGenerator = torch._C.Generator  # noqa: SLF001 - what `torch.Generator` is, whatever stands under that name now


_MADE: "weakref.WeakValueDictionary[int, SimulatedGenerator]" = weakref.WeakValueDictionary()
"""By the address of what draws."""


class _AnyGenerator(type(RealGenerator)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RealGenerator)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, RealGenerator)


class SimulatedGenerator(RealGenerator, metaclass=_AnyGenerator):  # type: ignore[misc]
    """`torch.Generator` while something is simulated."""

    def __new__(cls, device: Any = "cpu") -> "SimulatedGenerator":  # noqa: ANN401 - whatever names a device
        """One that draws on the CPU, whatever it is asked for."""
        place = wanted(device)
        made = super().__new__(cls, "cpu" if place is not None else device)
        made._place = place
        _MADE[made._cdata] = made
        return made

    def __init__(self, device: Any = "cpu") -> None:  # noqa: ANN401 - likewise
        super().__init__()

    @property
    def device(self) -> torch.device:
        """The device that it was made for."""
        return self._place or RealGenerator.device.__get__(self)  # type: ignore[attr-defined, no-any-return]


def check_generator(generator: RealGenerator, place: torch.device) -> None:
    """A generator must be on the device that it draws for."""
    found = _MADE.get(generator._cdata, generator).device.type  # noqa: SLF001 - it comes back as another object
    if found != place.type:
        msg = f"Expected a '{place.type}' device type for generator but found '{found}'"
        raise RuntimeError(msg)

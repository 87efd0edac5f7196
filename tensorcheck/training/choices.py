"""What can be chosen by name, apart from what the names stand for: `--help` is not meant to wait for torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

OPTIMIZERS: Mapping[str, float] = MappingProxyType({"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3, "rmsprop": 1e-3})
"""Each with the learning rate that it starts from where none is given."""

SCHEDULES = ("cosine", "step", "plateau", "one-cycle", "none")

Precision = Literal["fp32", "bf16", "fp16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

PLANTS: Mapping[str, str] = MappingProxyType(
    {
        "wrong-dtype": "the data set hands out float64, as NumPy makes it",
        "wrong-shape": "the head is built for another number of features",
        "wrong-device": "forward moves the features to a device where the head is not",
        "frozen": "every parameter stays frozen",
        "detached": "forward detaches the features, so that they never learn",
        "loss-broadcast": "predictions [batch, 1] are compared with targets [batch]",
        "not-in-optimizer": "the optimizer holds the head alone",
    }
)
"""Mistakes that `tensorcheck train --plant` can make on purpose."""

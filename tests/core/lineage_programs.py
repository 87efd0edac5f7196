"""Programs that crash, and the lineage of what the failing call was given."""

import linecache

from tensorcheck.lineage import Lineage
from tensorcheck.observe.crashes import crash_of
from tensorcheck.observe.frames import Sites

HEAD = """
import dataclasses, functools
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
def fail(tensor):
    return tensor @ torch.zeros(999)
"""


def lineage_of_first_operand(name: str, source: str) -> tuple[Lineage, str]:
    """The lineage, and the source of the line that is marked."""
    code, filename = HEAD + source, f"<way {name}>"
    lines = code.splitlines(keepends=True)
    linecache.cache[filename] = (len(code), None, lines, filename)
    try:
        exec(compile(code, filename, "exec"), {"__name__": "way"})  # noqa: S102 - the programs above
    except Exception as error:  # noqa: BLE001 - it ends in one
        crash = crash_of(error, "elsewhere", Sites())
    assert crash.call is not None
    assert crash.call.first is not None, crash.message
    return crash.call.first.lineage, next(line for line in lines if "# HERE" in line).rstrip("\n")

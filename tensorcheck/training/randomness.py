"""The state of every generator that a training draws from: to set it, to take it, to put it back."""

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, on the CPU and on every accelerator.

    >>> seed_everything(1); first = torch.rand(1); seed_everything(1); bool(first == torch.rand(1))
    True
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is the one that a user's transform draws from
    torch.manual_seed(seed)


def random_state(loaders: Iterable[DataLoader[Any]]) -> dict[str, Any]:
    """Every state, as numbers and tensors alone, so that it can be loaded with `weights_only=True`."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - as above
    return {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loaders": [generator.get_state() for generator in _generators(loaders)],
    }


def restore_random_state(state: dict[str, Any], loaders: Iterable[DataLoader[Any]]) -> None:
    """Put back what `random_state` took."""
    random.setstate(state["python"])
    keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, saved in zip(_generators(loaders), state["loaders"], strict=True):
        generator.set_state(saved)


def _generators(loaders: Iterable[DataLoader[Any]]) -> list[torch.Generator]:
    # A loader draws the seeds of its workers, its sampler the order; they may share a generator or have one each.
    owners = [
        owner
        for loader in loaders
        for owner in (loader, loader.sampler, getattr(loader.batch_sampler, "sampler", None))
    ]
    found = [getattr(owner, "generator", None) for owner in owners]
    unique = {id(generator): generator for generator in found if isinstance(generator, torch.Generator)}
    return list(unique.values())

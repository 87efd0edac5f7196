"""DataLoaders that hand out the same batches whenever they are given the same seed."""

import random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tensorcheck.training.splits import Part

Batch = tuple[Tensor, Tensor]
Loader = DataLoader[Batch]


def training_loader(part: Part, *, batch_size: int, workers: int, seed: int) -> Loader:
    """Batches in a new order each epoch, [batch, ...] and [batch].

    The order comes from a generator of its own, so it depends on the seed alone and not on what else draws random
    numbers; `fit` keeps the generator's state in `last.pth`. Workers are started anew each epoch (they are not
    persistent), for the random state inside a living worker can't be stored.
    """
    return DataLoader(
        part,  # type: ignore[arg-type]  # collating turns (Tensor, int) into (Tensor, Tensor), which the stubs don't know
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        worker_init_fn=seed_worker,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )


def evaluation_loader(part: Part, *, batch_size: int, workers: int) -> Loader:
    """Every sample once, in order."""
    return DataLoader(part, batch_size=batch_size, num_workers=workers, worker_init_fn=seed_worker)  # type: ignore[arg-type]  # as above


def seed_worker(worker: int) -> None:  # noqa: ARG001 - DataLoader's signature
    """Seed what a worker's transforms may use; torch has seeded itself, differently in each worker and epoch."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is the one that a user's transform draws from

"""On which simulated device a tensor is meant to be.

The answer is kept on the tensor's storage, as an attribute of the Python object that PyTorch keeps for it: views share
it, and it goes when the storage goes, so that nothing has to be looked up, counted or forgotten.
"""

import torch
from torch import Tensor
from torch._C import TensorBase

from tensorcheck.devices.scope import HERE

storage_of = TensorBase.untyped_storage
"""The method itself, which no mode and no subclass hears of."""
UNDECIDED = torch.device("cpu", 127)
"""Of a tensor that PyTorch itself made out of nothing, by the options of another: it is where what it meets is."""
_PINNED = "_is_pinned_in_simulation"


def place_of(tensor: Tensor) -> torch.device | None:
    """The simulated device that a tensor is on; None for one that is really where it is."""
    try:
        place = vars(storage_of(tensor)).get(HERE.key)
    except (NotImplementedError, RuntimeError):
        return _place_of_part(tensor)
    return None if place is UNDECIDED else place


def _place_of_part(tensor: Tensor) -> torch.device | None:
    """Of a tensor without a storage: that of what it is made of."""
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        part = _part(tensor)
    return None if part is None else place_of(part)


def _part(tensor: Tensor) -> Tensor | None:
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return torch._C._functorch.get_unwrapped(tensor)
    if tensor.layout is torch.sparse_coo:
        return tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        return tensor.values()
    return None


def put(tensor: Tensor, place: torch.device | None) -> None:
    """Say on which device a tensor with a storage of its own is meant to be; None for where it really is."""
    try:
        put_storage(storage_of(tensor), place)
    except (NotImplementedError, RuntimeError):
        part = _part(tensor)
        if part is not None:
            put(part, place)


def put_storage(storage: torch.UntypedStorage, place: torch.device | None) -> None:
    """Say on which device a storage is meant to be."""
    if place is None:
        vars(storage).pop(HERE.key, None)
    else:
        vars(storage)[HERE.key] = place


def place_of_storage(storage: torch.UntypedStorage) -> torch.device | None:
    """The simulated device that a storage is on."""
    return vars(storage).get(HERE.key)


def pin(tensor: Tensor) -> None:
    """Let this tensor's memory be called pinned."""
    vars(storage_of(tensor))[_PINNED] = HERE.key


def is_pinned(tensor: Tensor) -> bool:
    """Whether `pin` was called for this tensor's memory."""
    return bool(HERE.key) and vars(storage_of(tensor)).get(_PINNED) == HERE.key


def is_undecided(tensor: Tensor) -> bool:
    """Whether it was made out of nothing by PyTorch itself, and has met no other tensor yet."""
    try:
        return vars(storage_of(tensor)).get(HERE.key) is UNDECIDED
    except (NotImplementedError, RuntimeError):
        return False

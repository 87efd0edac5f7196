"""`assert_contract`: a model is as a file beside its test says."""

import json
import os
from pathlib import Path
from typing import Any

from torch import nn

from tensorcheck.atomic import write_whole
from tensorcheck.testing.differences import differences
from tensorcheck.testing.rehearsing import LossFunction, rehearsing
from tensorcheck.testing.signatures import Signature, from_json, signature_of, to_json
from tensorcheck.testing.spelled import caller

_MOST = 20


def assert_contract(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    path: str | os.PathLike[str],
    loss_fn: LossFunction | None = None,
) -> None:
    """The signature of every module is what a file says: kind, parameters, what it returns, and gradients with a loss.

    Sizes that the caller chooses (`batch`, or `dim2` of the inputs) are found by asking the model with others. The file
    is JSON, and its path starts from the folder of the test. `pytest --tensorcheck-update` writes it; without one the
    assertion fails and says so. A change is told once, by the module where it was made.

    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> os.environ["TENSORCHECK_UPDATE"] = "1"
    >>> assert_contract(nn.Linear(4, 2), torch.zeros(8, 4), f"{folder.name}/linear.json")
    >>> del os.environ["TENSORCHECK_UPDATE"]
    >>> assert_contract(nn.Linear(4, 3), torch.zeros(8, 4), f"{folder.name}/linear.json")
    Traceback (most recent call last):
    AssertionError: `Linear` is not what linear.json says
      the model weight: float32[2 4] -> float32[3 4]
      `pytest --tensorcheck-update` writes it anew
    >>> folder.cleanup()
    """
    __tracebackhide__ = True
    file = _beside_the_test(Path(path))
    with rehearsing(model, batch, loss_fn) as rehearsal:
        found = signature_of(rehearsal)
    if os.environ.get("TENSORCHECK_UPDATE") == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(to_json(found), indent=1) + "\n", what="contract")
        return
    changes = differences(_read(file), found)
    if changes:
        more = [f"and {len(changes) - _MOST} more"] if len(changes) > _MOST else []
        told = "\n  ".join([*changes[:_MOST], *more, "`pytest --tensorcheck-update` writes it anew"])
        msg = f"`{type(model).__name__}` is not what {file.name} says\n  {told}"
        raise AssertionError(msg)


def _beside_the_test(path: Path) -> Path:
    frame = caller()
    folder = Path(frame.f_code.co_filename).parent if frame is not None else Path.cwd()
    return folder / path


def _read(file: Path) -> Signature:
    try:
        return from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        msg = f"there is no contract {file}; `pytest --tensorcheck-update` writes it"
        raise AssertionError(msg) from None
    except ValueError as error:
        msg = f"{file}: {error}"
        raise AssertionError(msg) from error

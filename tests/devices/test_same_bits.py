"""Whole programs train on a simulated device to the bits that they train to without one."""

from pathlib import Path

import pytest
import torch

import tensorcheck
from tests.gallery.exhibits import Exhibit, load_exhibits, run_simulated, run_unwatched
from tests.training.setups import make_setup

CHOOSES_BY_DEVICE: dict[str, str] = {}
"""The scripts of the gallery whose arithmetic depends on the device, and how."""


def _weights(device: str) -> dict[str, torch.Tensor]:
    setup = make_setup()
    setup.fit(epochs=2, device=device)
    return {name: value.cpu() for name, value in setup.model.state_dict().items()}


def test_the_reference_loop() -> None:
    plain = _weights("cpu")
    with tensorcheck.simulate_device("cuda"):
        simulated = _weights("cuda")

    assert plain.keys() == simulated.keys()
    assert all(torch.equal(plain[name], simulated[name]) for name in plain)


def test_the_reference_loop_finds_the_accelerator_by_itself() -> None:
    with tensorcheck.simulate_device("cuda"):
        assert make_setup().fit(epochs=1, device="auto").device.type == "cuda"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_reference_loop_in_mixed_precision(precision: str) -> None:
    with tensorcheck.simulate_device("cuda"):
        result = make_setup().fit(epochs=2, device="cuda", precision=precision)

    assert result.history.epochs[-1].val_loss < 3


@pytest.mark.parametrize(
    "exhibit",
    [exhibit for exhibit in load_exhibits() if exhibit.name not in CHOOSES_BY_DEVICE],
    ids=lambda exhibit: exhibit.name,
)
def test_a_script_of_the_gallery(exhibit: Exhibit, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "simulated").mkdir()

    simulated = run_simulated(exhibit, "fixed", tmp_path / "simulated")

    assert simulated == run_unwatched(exhibit, "fixed", tmp_path / "plain")

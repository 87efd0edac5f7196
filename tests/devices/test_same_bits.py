"""The reference loop trains on a simulated device to the bits that it trains to without one.

The scripts of the gallery do so in `tests/gallery`, where each runs once more.
"""

import pytest
import torch

import tensorcheck
from tests.training.setups import make_setup


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

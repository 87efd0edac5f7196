"""The training that most tests here use, as fixtures."""

from collections.abc import Callable

import pytest
import torch

from tests.training.setups import Setup, make_setup


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads of several tests at once wait for each other far longer than these small models compute."""
    torch.set_num_threads(1)


@pytest.fixture
def setup() -> Setup:
    return make_setup()


@pytest.fixture
def new_setup() -> Callable[..., Setup]:
    return make_setup

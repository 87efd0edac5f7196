"""Contracts: what is written, and how a change reads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tensorcheck import testing

IMAGES = torch.rand(4, 1, 28, 28)
WORDS = torch.zeros(3, 7, dtype=torch.int64)

Check = Callable[..., str]


def network(width: int = 16, activation: type[nn.Module] = nn.ReLU, *, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), activation(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes)),
    )


class Words(nn.Module):
    """A language model of a block or more."""

    def __init__(self, blocks: int = 1) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(blocks)]
        )

    def forward(self, words: Tensor) -> Tensor:
        hidden: Tensor = self.embed(words)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Writes the contract of a model and returns what is said of another one."""

    def compared(before: nn.Module, after: nn.Module, batch: object, loss_fn: nn.Module | None = None) -> str:
        monkeypatch.setenv("TENSORCHECK_UPDATE", "1")
        testing.assert_contract(before, batch, tmp_path / "model.json", loss_fn)
        monkeypatch.delenv("TENSORCHECK_UPDATE")
        try:
            testing.assert_contract(after, batch, tmp_path / "model.json", loss_fn)
        except AssertionError as error:
            return str(error)
        return ""

    return compared


def test_a_model_keeps_its_own_contract(check: Check) -> None:
    assert check(network(), network(), (IMAGES, torch.zeros(4, dtype=torch.int64)), nn.CrossEntropyLoss()) == ""


def test_other_values_and_another_batch_size_keep_it(check: Check, tmp_path: Path) -> None:
    check(network(), network(), IMAGES)
    testing.assert_contract(network(), torch.rand(9, 1, 28, 28), tmp_path / "model.json")


def test_free_sizes_are_written_by_name(check: Check, tmp_path: Path) -> None:
    check(network(), network(), IMAGES)
    modules = json.loads((tmp_path / "model.json").read_text())["modules"]
    assert modules["3"] == {"kind": "MaxPool2d", "outputs": {"output": "float32[batch 16 dim2/2 dim3/2]"}}
    assert modules[""]["outputs"] == {"output": "float32[batch 10]"}


def test_the_length_of_a_sequence_is_free(check: Check, tmp_path: Path) -> None:
    check(Words(), Words(), WORDS)
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["inputs"] == {"words": "int64[batch dim1]"}
    assert content["modules"]["embed"]["outputs"] == {"output": "float32[batch dim1 8]"}


def test_another_width_is_one_change(check: Check) -> None:
    assert check(network(16), network(24), IMAGES).splitlines() == [
        "`Sequential` is not what model.json says",
        "  `0` weight: float32[16 1 3 3] -> float32[24 1 3 3], and with it 4 other modules",
        "  `pytest --tensorcheck-update` writes it anew",
    ]


def test_two_changes_are_two(check: Check) -> None:
    told = check(network(16), network(24, classes=7), IMAGES)
    assert "`0` weight: float32[16 1 3 3] -> float32[24 1 3 3]" in told
    assert "`8` weight: float32[10 32] -> float32[7 32], and with it 1 other module" in told


def test_another_layer_is_named_by_its_kind(check: Check) -> None:
    assert "  `2` kind: ReLU -> GELU\n" in check(network(), network(activation=nn.GELU), IMAGES)


def test_a_new_block_is_one_line(check: Check) -> None:
    assert "  `blocks.1` (Sequential) is new, with 3 modules in it\n" in check(Words(1), Words(2), WORDS)
    assert "  `blocks.1` (Sequential) is gone, with 3 modules in it\n" in check(Words(2), Words(1), WORDS)


def test_a_frozen_parameter_and_its_gradient_are_changes(check: Check) -> None:
    frozen = network()
    frozen[0].requires_grad_(False)
    told = check(network(), frozen, (IMAGES, torch.zeros(4, dtype=torch.int64)), nn.CrossEntropyLoss())
    assert "`0` weight: float32[16 1 3 3] -> float32[16 1 3 3], frozen" in told
    assert "`0` gradient: yes -> no" in told


def test_another_dtype_is_a_change(check: Check) -> None:
    class Cast(nn.Module):
        def __init__(self, dtype: torch.dtype) -> None:
            super().__init__()
            self.dtype = dtype

        def forward(self, x: Tensor) -> Tensor:
            return x.to(self.dtype)

    told = check(Cast(torch.float32), Cast(torch.float64), torch.zeros(3, 4))
    assert "the model output: float32[batch dim1] -> float64[batch dim1]" in told


def test_a_module_called_twice_is_a_change(check: Check) -> None:
    class Twice(nn.Module):
        def __init__(self, calls: int) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.calls = calls

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(self.calls):
                x = self.layer(x)
            return x

    assert "`layer` calls: 1 -> 2" in check(Twice(1), Twice(2), torch.zeros(3, 4))


def test_without_a_file_the_way_to_write_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match=r"there is no contract .*none\.json; `pytest --tensorcheck-update` writes it"
    ):
        testing.assert_contract(network(), IMAGES, tmp_path / "none.json")


@pytest.mark.parametrize("content", ["", "[]", '{"modules": {"a": 1}, "inputs": {}}'])
def test_a_file_that_is_no_contract_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(AssertionError, match=r"bad\.json: "):
        testing.assert_contract(network(), IMAGES, tmp_path / "bad.json")


def test_the_flag_writes_beside_the_test(inner_pytest: pytest.Pytester) -> None:
    test = inner_pytest.mkdir("inner") / "test_it.py"
    test.write_text(
        "import torch\nfrom tensorcheck import testing\n"
        "def test_it():\n"
        "    testing.assert_contract(torch.nn.Linear(4, 2), torch.zeros(3, 4), 'contracts/linear.json')\n"
    )
    flags = ("-p", "no:randomly", "-p", "no:asyncio", "-p", "no:xdist")
    inner_pytest.runpytest_inprocess(*flags).assert_outcomes(failed=1)
    inner_pytest.runpytest_inprocess(*flags, "--tensorcheck-update").assert_outcomes(passed=1)
    assert (test.parent / "contracts" / "linear.json").exists()
    inner_pytest.runpytest_inprocess(*flags).assert_outcomes(passed=1)

"""Crashes of code and tensors that are hard to look at: explained as far as possible, and never a second crash."""

import importlib.util
import linecache
import py_compile
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

import tensorcheck
from tensorcheck.render.text import finding_text
from tests.invariants import assert_well_formed

pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, rows):
        return self.head(rows)

def crash():
    Net()(torch.zeros(8, 5))
"""


def crash_of(function: Callable[[], object]) -> Exception:
    """What it raises."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    message = "it raises nothing"
    raise AssertionError(message)


def headlines(error: Exception) -> list[str]:
    """What is found, and that it is said as findings are."""
    findings = tensorcheck.explain(error).findings
    for finding in findings:
        assert len(finding.headline) <= 80
        assert finding_text(finding)
    return [finding.headline for finding in findings]


def test_code_without_source_is_explained() -> None:
    names: dict[str, object] = {}
    exec(compile(MODEL, "<string>", "exec"), names)  # noqa: S102 - that is what is tested
    crash = names["crash"]
    assert isinstance(crash, types.FunctionType)

    assert headlines(crash_of(crash)) == ["`head` got 5 features but was built for 4"]


def test_a_notebook_cell_is_shown_with_its_source() -> None:
    filename = "/tmp/ipykernel_1/1.py"  # noqa: S108 - nothing is written there
    linecache.cache[filename] = (len(MODEL), None, MODEL.splitlines(keepends=True), filename)
    names: dict[str, object] = {}
    exec(compile(MODEL, filename, "exec"), names)  # noqa: S102 - as a notebook does
    crash = names["crash"]
    assert isinstance(crash, types.FunctionType)

    (finding,) = tensorcheck.explain(crash_of(crash)).findings

    assert finding.site is not None
    assert finding.site.code == "rows"


def test_a_module_in_a_zip_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_model.py", MODEL)
    monkeypatch.syspath_prepend(str(archive))
    crash = importlib.import_module("zipped_model").crash

    assert headlines(crash_of(crash)) == ["`head` got 5 features but was built for 4"]


def test_a_compiled_file_without_its_source_is_explained(tmp_path: Path) -> None:
    source = tmp_path / "only_compiled.py"
    source.write_text(MODEL)
    compiled = py_compile.compile(str(source), cfile=str(tmp_path / "only_compiled.pyc"))
    source.unlink()
    spec = importlib.util.spec_from_file_location("only_compiled", compiled)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert headlines(crash_of(module.crash)) == ["`head` got 5 features but was built for 4"]


def test_a_source_that_was_edited_meanwhile_does_no_harm(tmp_path: Path) -> None:
    source = tmp_path / "edited_model.py"
    source.write_text(MODEL)
    spec = importlib.util.spec_from_file_location("edited_model", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    error = crash_of(module.crash)
    source.write_text("def (:\n")

    assert headlines(error) == ["`head` got 5 features but was built for 4"]


class Hostile:
    """Raises at whatever it is asked."""

    def __repr__(self) -> str:
        raise ValueError

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]  # it is meant to be hostile


def test_locals_that_raise_at_everything_are_left_alone() -> None:
    def crash() -> None:
        hostile, model = Hostile(), nn.Linear(4, 2)
        both = {"hostile": hostile, "list": [hostile]}
        model(torch.zeros(8, 5))
        del both

    assert headlines(crash_of(crash)) == ["`Linear` got 5 features but was built for 4"]


def test_a_model_whose_attributes_raise_is_explained() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)
            vars(self)["hostile"] = Hostile()

        @property
        def width(self) -> int:
            raise ValueError

        def forward(self, rows: Tensor) -> Tensor:
            out: Tensor = self.head(rows)
            return out

    assert headlines(crash_of(lambda: Odd()(torch.zeros(8, 5)))) == ["`head` got 5 features but was built for 4"]


def test_an_exception_without_a_traceback_is_no_finding() -> None:
    assert headlines(ValueError("mat1 and mat2 shapes cannot be multiplied (8x5 and 4x2)")) == []


def test_a_recursion_error_is_survived() -> None:
    class Deep(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            out: Tensor = self(rows)
            return out

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        error = crash_of(lambda: Deep()(torch.zeros(2)))
    finally:
        sys.setrecursionlimit(limit)
    assert isinstance(error, RecursionError)
    headlines(error)


class Sub(Tensor):
    """A subclass of tensors."""


def _kinds() -> dict[str, Callable[[], Tensor]]:
    plain = torch.arange(12.0).reshape(3, 4)
    return {
        "plain": lambda: plain,
        "grad": lambda: plain.clone().requires_grad_(),
        "integers": lambda: torch.arange(6).reshape(2, 3),
        "booleans": lambda: torch.ones(3, 4, dtype=torch.bool),
        "complex": lambda: torch.zeros(3, 4, dtype=torch.complex64),
        "number": lambda: torch.tensor(1.5),
        "empty": lambda: torch.zeros(0, 4),
        "many dims": lambda: torch.zeros(1, 2, 1, 3, 1, 2),
        "meta": lambda: torch.zeros(3, 5, device="meta"),
        "sparse": lambda: torch.eye(4).to_sparse(),
        "rows": lambda: torch.eye(4).to_sparse_csr(),
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "jagged": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged),
        "quantized": lambda: torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
        "fake": lambda: FakeTensorMode().from_tensor(plain),
        "subclass": lambda: torch.zeros(2, 5).as_subclass(Sub),
        "inference": _inference,
        "float8": lambda: torch.zeros(3, 4).to(torch.float8_e4m3fn),
    }


def _inference() -> Tensor:
    with torch.inference_mode():
        return torch.zeros(3, 4)


KINDS = _kinds()
LINES = (
    "a @ b",
    "a + b",
    "a += b",
    "torch.cat([a, b])",
    "torch.stack([a, b], dim=1)",
    "a[b]",
    "a[5]",
    "a.view(7, -1)",
    "a.gather(1, b)",
    "nn.Linear(4, 2)(a)",
    "nn.Conv2d(3, 2, 3)(a)",
    "nn.Embedding(3, 2)(a)",
    "nn.BatchNorm1d(4)(a)",
    "nn.LSTM(4, 2)(a)",
    "F.cross_entropy(a, b)",
    "F.mse_loss(a, b)",
    "F.binary_cross_entropy(a, b)",
    "(a * 1).backward()",
    "a.numpy()",
    "a.mean().item()",
    "bool(a)",
    "torch.einsum('ij,jk->ik', a, b)",
    "a.to('cuda')",
    "nn.MultiheadAttention(4, 2)(a, b, b)",
    "torch.utils.data.default_collate([a, b])",
    "next(iter(torch.utils.data.DataLoader([a, b], batch_size=2)))",
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LINES), st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS)))
def test_odd_tensors_never_crash_the_explanation(line: str, first: str, second: str) -> None:
    filename = f"<odd {line}>"
    linecache.cache[filename] = (len(line), None, [f"{line}\n"], filename)
    names = {"torch": torch, "nn": nn, "F": nn.functional, "a": KINDS[first](), "b": KINDS[second]()}
    try:
        exec(compile(line, filename, "exec"), names)  # noqa: S102 - the lines above
    except Exception as error:  # noqa: BLE001 - whatever PyTorch says to it
        for finding in tensorcheck.explain(error).findings:
            assert finding.rule != "TCK001", finding_text(finding)
            assert_well_formed(finding)

"""What `import tensorcheck` gives, and what it costs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tensorcheck

CHECKOUT = Path(__file__).parents[2]


def printed_by(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_the_exported_names_are_the_documented_ones() -> None:
    reference = (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8")
    documented = re.findall(r"^::: tensorcheck\.(\w+)$", reference, flags=re.MULTILINE)
    assert sorted(tensorcheck.__all__) == sorted([*documented, "__version__"])


@pytest.mark.parametrize("name", tensorcheck.__all__)
def test_every_exported_name_is_there_and_listed(name: str) -> None:
    assert getattr(tensorcheck, name) is not None
    assert name in dir(tensorcheck)


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'tensorcheck' has no attribute 'wacth'"):
        _ = tensorcheck.wacth  # type: ignore[attr-defined] # that is the point


def test_importing_it_imports_no_torch_and_no_numpy() -> None:
    loaded = printed_by("import sys, tensorcheck; print([name for name in ('torch', 'numpy') if name in sys.modules])")
    assert loaded == "[]"


def test_importing_it_costs_less_than_50_milliseconds() -> None:
    program = "import time; start = time.process_time(); import tensorcheck; print(time.process_time() - start)"
    assert min(float(printed_by(program)) for _ in range(3)) < 0.05


def test_a_submodule_is_reached_without_importing_it_by_name() -> None:
    assert printed_by("import tensorcheck; print(tensorcheck.training.fit.__module__)").startswith(
        "tensorcheck.training"
    )

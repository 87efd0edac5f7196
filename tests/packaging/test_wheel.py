"""A wheel that is built from the checkout works alone, in an environment where the checkout can't be imported."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CARRIED = [
    "tensorcheck/py.typed",
    "tensorcheck/training/digits/digits.npz",
    "tensorcheck/training/digits/LICENSE.txt",
    "tensorcheck/render/report.schema.json",
    "tensorcheck/render/templates/report.html.j2",
]
RUN_FILES = [
    "best_model.pth",
    "confusion.png",
    "curves.png",
    "last.pth",
    "metrics.json",
    "metrics.jsonl",
    "model_complete.pth",
    "report.html",
    "report.json",
    "settings.json",
]


def run(*command: str | Path, cwd: Path) -> str:
    """What it prints; a PYTHONPATH could lead to the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=CHECKOUT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, which borrows its dependencies from the one that runs this.

    A folder that a .pth file adds does not have its own .pth files read, so an editable install stays out of it.
    """
    root = tmp_path_factory.mktemp("environment")
    venv.create(root)
    python = root / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=root)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(root), "platbase": str(root)}))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("name", CARRIED)
def test_the_wheel_carries(name: str, wheel: Path) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_carries_no_tests_and_both_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"tensorcheck"}
    assert (
        sum(name.endswith(("licenses/LICENSE", "licenses/tensorcheck/training/digits/LICENSE.txt")) for name in names)
        == 2
    )


def test_the_checkout_is_not_what_the_new_environment_imports(environment: Path, tmp_path: Path) -> None:
    place = run(environment / "bin" / "python", "-c", "import tensorcheck; print(tensorcheck.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(environment)


def test_the_main_job_runs_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    run(environment / "bin" / "tensorcheck", "train", "--epochs", "1", cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("runs/*/*")) == RUN_FILES

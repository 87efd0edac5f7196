"""The files around the code agree with each other."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
PINNED_EXTRAS = ("test", "lint", "docs")
"""Those that the tests, the checks and the docs use; the others belong to libraries that the user brings."""


def text_of(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(text_of("pyproject.toml"))["project"]
    return table


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    lines = [*project()["dependencies"], *(line for extra in PINNED_EXTRAS for line in extras[extra])]
    return [Requirement(line) for line in lines]


def pins() -> dict[str, str]:
    lines = [line for line in text_of("constraints.txt").splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_constraints_pin_a_version_that_the_project_allows(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_the_constraints_name_a_release_of_torch_and_no_local_build() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pins()["torch"])


def test_ci_runs_the_two_commands_that_the_readme_begins_with() -> None:
    commands = re.findall(r"^```sh\n(.*?)\n```$", text_of("README.md"), flags=re.MULTILINE | re.DOTALL)
    run_by_ci = re.findall(r"^(?:main|test)_job='(.*)'$", text_of(".ci/run"), flags=re.MULTILINE)
    assert commands[:2] == run_by_ci


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *map(str, CHECKOUT.glob("docs/*.md"))])
def test_no_page_installs_the_other_project_that_has_this_name_on_the_index(page: str) -> None:
    assert not re.search(r"pip install ([^&\s]+ )*tensorcheck\b", text_of(page))


def test_the_range_of_torch_is_the_same_in_the_readme_and_in_the_project() -> None:
    torch = next(Requirement(line) for line in project()["dependencies"] if line.startswith("torch>"))
    lowest = re.search(r">=([\d.]+)", str(torch.specifier))
    assert lowest is not None
    assert f"torch {lowest[1]}" in text_of("README.md")


@pytest.mark.parametrize(
    "name", [".ci/run", *(f"scripts/{name}" for name in ("install", "check", "test", "docs", "bench"))]
)
def test_a_script_can_be_started_and_stops_at_the_first_failure(name: str) -> None:
    assert os.access(CHECKOUT / name, os.X_OK)
    assert "\nset -euo pipefail\n" in text_of(name)

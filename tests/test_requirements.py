"""The four places that say what the project needs agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def requirements() -> list[Requirement]:
    texts = [
        *PROJECT["dependencies"],
        *(t for extra in PROJECT["optional-dependencies"].values() for t in extra),
    ]
    return [Requirement(text) for text in texts if not text.startswith(PROJECT["name"])]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_what_is_needed_is_pinned_within_its_range(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_conda_asks_for_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = dict(re.findall(r"^([a-z0-9-]+)(.*)$", "\n".join(map(str, environment)), re.MULTILINE))
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert conda[CONDA_NAMES.get(requirement.name, requirement.name)] == str(requirement.specifier)
    assert "pytorch3d" in conda
    assert "open3d" in conda
    assert {"pip": ["-e ."]} in environment

"""The places that say what the project needs agree with each other and with what it imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from inverse_graphics import __version__
from inverse_graphics.errors import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def requirements() -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in OPTIONAL.values() for text in extra)]
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
    for text in (*PROJECT["dependencies"], *(text for extra in EXTRAS for text in OPTIONAL[extra])):
        requirement = Requirement(text)
        assert conda[CONDA_NAMES.get(requirement.name, requirement.name)] == str(requirement.specifier)
    assert "pytorch3d" in conda
    assert "open3d" in conda
    assert {"pip": ["-e ."]} in environment


def test_extras_are_what_the_messages_say():
    declared = {extra: {Requirement(text).name for text in OPTIONAL[extra]} for extra in EXTRAS}
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == declared
    assert not set.union(*declared.values()) & {Requirement(text).name for text in PROJECT["dependencies"]}


def test_everything_and_the_tests_include_every_extra():
    assert OPTIONAL["all"] == [f"inverse-graphics[{','.join(EXTRAS)}]"]
    selves = [Requirement(text) for text in OPTIONAL["test"] if text.startswith(PROJECT["name"])]
    assert {"all", "mujoco"} <= set.union(*(requirement.extras for requirement in selves))


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == __version__ == citation["version"]


def test_workflows_and_hooks_install_extras_that_there_are():
    files = [ROOT / ".pre-commit-config.yaml", *(ROOT / ".github" / "workflows").glob("*.yml")]
    asked = {extra for file in files for extra in re.findall(r"'\.\[(\w+)\]'", file.read_text())}
    assert {"dev", "docs", "test"} <= asked
    assert asked <= set(OPTIONAL)


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """(top-level module, whether it is imported with the file) of each absolute import in a file."""

    def visit(node: ast.AST, at_once: bool) -> Iterator[tuple[str, bool]]:
        lazy = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0], at_once
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_once and not lazy)

    return visit(ast.parse(file.read_text(encoding="utf-8")), True)


def test_every_import_is_of_something_declared_and_extras_are_imported_where_they_are_needed():
    distributions = metadata.packages_distributions()
    core = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    optional = {canonicalize_name(r.name) for r in requirements()} - core | {"pytorch3d", "typeshed"}
    wrong = []
    for file in sorted(
        each for folder in ("inverse_graphics", "cli") for each in (ROOT / folder).rglob("*.py")
    ):
        for module, at_once in imported(file):
            if module in sys.stdlib_module_names or module == "inverse_graphics":
                continue
            names = {canonicalize_name(name) for name in distributions.get(module, [module.strip("_")])}
            if not names & core and (at_once or not names & optional):
                wrong.append(f"{file.relative_to(ROOT)}: {module}")
    assert wrong == []


def test_an_import_that_is_not_lazy_would_be_noticed(tmp_path):
    file = tmp_path / "plot.py"
    file.write_text(
        "import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d.e import g\nfrom .h import i"
    )
    assert list(imported(file)) == [("a", True), ("c", False), ("d", False)]

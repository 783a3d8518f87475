"""The core install infers and renders alone; a command that needs an extra says which before it begins."""

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from inverse_graphics import doctor
from inverse_graphics.errors import EXTRAS, MissingExtraError, missing_packages, require_extras

ROOT = Path(__file__).parents[1]
CORE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
MODULES = sorted(module for packages in EXTRAS.values() for module in packages.values())


IMPORTS_FAIL = """
from importlib import import_module

def told(module):
    try:
        return import_module(module).__name__
    except ImportError:
        return f"no {module}"

print(told("matplotlib"), told("pytest"), sep=", ")
"""


def core_distributions() -> set[str]:
    """What an install without extras brings: the project's dependencies and, in turn, theirs."""
    found: set[str] = set()
    waiting = list(map(Requirement, CORE))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # a GPU's library beside a torch that is built for CPUs
        found.add(name)
        waiting.extend(map(Requirement, required))
    return found


def modules_beyond_the_core() -> list[str]:
    """Every top-level module of this environment that the core install would not bring."""
    core = {*core_distributions(), "inverse-graphics"}
    return [
        module
        for module, distributions in metadata.packages_distributions().items()
        if not core & set(map(canonicalize_name, distributions))
    ]


def run_without(modules: list[str], code: str) -> str:
    """What Python code prints in a process that cannot import some modules."""
    block = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{block}\n{code}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_parser_and_renderer_import_nothing_beyond_the_core(tmp_path):
    blocked = modules_beyond_the_core()
    assert {*MODULES, "pytest", "hypothesis"} <= set(blocked)
    assert run_without(blocked, IMPORTS_FAIL) == "no matplotlib, no pytest\n"
    found = run_without(
        blocked,
        f"""
from inverse_graphics.cli.main import main
import inverse_graphics as ig

print(ig.load_parser().parse("docs/table.png").count)
assert ig.render("single_mug", size=(16, 16)).image.shape == (16, 16, 3)
assert main(["infer", "docs/table.png", "--overlay", "{tmp_path}/seen"]) == 0
assert main(["render", "breakfast", "-o", "{tmp_path}/out.png", "--size", "64x64"]) == 0
assert main(["demo", "--images", "1", "--out", "{tmp_path}/demo"]) == 0
""",
    )
    assert found.startswith("3\n")
    assert (tmp_path / "seen" / "table.png").is_file()


COMMANDS = {
    "train multi_mnist_small --run-dir {folder}/run": "training needs scikit-learn, tensorboard",
    "benchmark train multi_mnist_small --runs {folder}/runs": "training needs scikit-learn, tensorboard",
    "benchmark render --sweep faces --plot {folder}/a.svg": "a plot needs matplotlib",
    "benchmark optimise --plot {folder}/a.svg": "a plot needs matplotlib",
    "study learn3d --out {folder}/study": "a study needs scikit-learn, tensorboard, matplotlib",
    "study counting --out {folder}/study": "a study needs scikit-learn, tensorboard, matplotlib",
    "study act --out {folder}/study": "a study needs scikit-learn, tensorboard, matplotlib",
    "study psact --no-train --out {folder}/study": "a study needs scikit-learn, tensorboard, matplotlib",
}
INSTALLED_BY = {"training": "train", "a plot": "plots", "a study": "train,plots"}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory) -> dict[str, tuple[int, str]]:
    """Status and stderr of each command where no extra is installed; one process runs them all."""
    folder = tmp_path_factory.mktemp("refusals")
    lines = [command.format(folder=folder) for command in COMMANDS]
    reported = run_without(
        MODULES,
        f"""
import contextlib, io, json
from inverse_graphics.cli.main import main

outcomes = []
for line in {lines!r}:
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        status = main(line.split())
    outcomes.append([status, err.getvalue()])
print(json.dumps(outcomes))
""",
    )
    assert list(folder.iterdir()) == []  # nothing was begun
    outcomes = [(status, err) for status, err in json.loads(reported)]
    return dict(zip(COMMANDS, outcomes, strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_its_extra_says_in_one_line_how_to_get_it(refusals, command):
    reason = COMMANDS[command]
    extras = INSTALLED_BY[reason.partition(" needs")[0]]
    status, reported = refusals[command]
    assert status == 1
    *progress, last = reported.splitlines()
    assert last == f"Error: {reason}, not installed here: pip install 'inverse-graphics[{extras}]'"
    assert progress == [] or command.startswith("benchmark train")  # which says which seed it begins


def test_doctor_lists_the_extras_that_are_missing_as_optional(monkeypatch):
    for module in MODULES:
        monkeypatch.setitem(sys.modules, module, None)
    found = {f.name: (f.state, f.remedy) for f in doctor._extras()}
    assert found == {extra: ("missing", f"pip install 'inverse-graphics[{extra}]'") for extra in EXTRAS}


def test_only_what_is_missing_is_named(monkeypatch):
    require_extras("nothing", *EXTRAS)  # the tests' own environment has them all
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert missing_packages("train") == ["tensorboard"]
    with pytest.raises(MissingExtraError, match=r"^x needs tensorboard, not .*\[train\]'$"):
        require_extras("x", "train", "plots")

"""The shape of the project: which module may import which, and that all of it is installed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "inverse_graphics"
OUTER = {"assets": "assets", "scenes": "scenes", "recipes": "train", "cli": "cli"}
"""Part of the package -> the folder at the top level that is installed as this part."""
FOLDERS = {PACKAGE: PACKAGE, **{f"{PACKAGE}.{part}": folder for part, folder in OUTER.items()}}
LEVELS = {
    "errors": 0, "moved_modules": 0, "devices": 0, "io": 0, "geometry": 0,
    "scene": 1, "packs": 1,
    "rendering": 2,
    "observation": 3, "metrics": 3, "halting": 3, "distributions": 3,
    "families": 4, "data": 4, "sequences": 4,
    "models": 5,
    "inference": 6, "optimisation": 6, "training": 6,
    "evaluation": 7, "visualisation": 7, "interchange": 7, "doctor": 7,
    "benchmarks": 8, "studies": 8,
    "assets": 9, "scenes": 9, "recipes": 9, "cli": 9,
}  # fmt: skip
FAMILY = f"{PACKAGE}.families.family"
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def source_files() -> dict[str, Path]:
    """Every module of the project, by the name under which it is installed."""
    found = {}
    for name, folder in FOLDERS.items():
        for file in (ROOT / folder).rglob("*.py"):
            within = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([name, *within]).removesuffix(".__init__")] = file
    return found


MODULES = source_files()


def imports(name: str, file: Path) -> Iterator[str]:
    """All names that a module imports, at whatever place in it, absolute: modules, or names within one."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def part(name: str) -> str:
    """The second component of a dotted name: inverse_graphics.scene.batch is of the part 'scene'."""
    return name.split(".")[1] if "." in name else ""


def project_imports() -> Iterator[tuple[str, str]]:
    """(importing part, imported part) of every import between two parts of the library."""
    for name, file in MODULES.items():
        if name == PACKAGE:
            continue  # its lazy re-exports may point anywhere
        for target in imports(name, file):
            if target.split(".")[0] == PACKAGE and target != f"{PACKAGE}.__version__":
                yield name, target


def test_every_module_has_a_level():
    assert {part(name) for name in MODULES if name != PACKAGE} == set(LEVELS)


def test_imports_run_downward_only():
    upward = [
        f"{name} imports {target}"
        for name, target in project_imports()
        if LEVELS.get(part(target), 99) > LEVELS[part(name)]
    ]
    assert upward == []


def test_parts_of_one_level_do_not_import_in_a_circle():
    graph: dict[str, set[str]] = {}
    for name, target in project_imports():
        graph.setdefault(part(name), set()).update({part(target)} - {part(name)})
    TopologicalSorter(graph).prepare()


def test_nothing_but_the_console_script_imports_the_command_line_or_an_outer_folder():
    inward = [
        f"{name} imports {target}"
        for name, target in project_imports()
        if part(target) in OUTER and part(name) != part(target)
    ]
    assert inward == []
    top_level = [
        f"{name} imports {target}"
        for name, file in MODULES.items()
        for target in imports(name, file)
        if target.split(".")[0] in (*OUTER.values(), "tests")
    ]
    assert top_level == []


def test_siblings_within_the_command_line_are_imported_relatively():
    absolute = [
        f"{name}:{node.lineno}"
        for name, file in MODULES.items()
        if part(name) == "cli"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.cli")
    ]
    assert absolute == []


def test_no_module_outside_families_knows_a_particular_family():
    """What depends on the family goes through `SceneFamily` or `FamilySettings`."""
    particular = {
        name
        for name, file in MODULES.items()
        if part(name) == "families" and "register_family(" in file.read_text() and name != FAMILY
    }
    assert particular == {f"{PACKAGE}.families.{name}" for name in ("single_object", "table_top")}
    known = [
        f"{name} imports {target}"
        for name, target in project_imports()
        if part(name) != "families" and any(f"{target}.".startswith(f"{one}.") for one in particular)
    ]
    assert known == []


def test_an_upward_import_would_be_noticed(tmp_path):
    file = tmp_path / "mesh.py"
    file.write_text(
        "def late():\n    from ..rendering import engine\n    import inverse_graphics.inference.parse as p\n"
    )
    targets = list(imports("inverse_graphics.packs.mesh", file))
    assert targets == ["inverse_graphics.rendering.engine", "inverse_graphics.inference.parse"]
    assert all(LEVELS[part(target)] > LEVELS["packs"] for target in targets)


CONFIGURED = {
    "models",
    "observation",
    "inference",
    "optimisation",
    "training",
    "evaluation",
    "studies",
    "benchmarks",
}
"""Parts whose functions are given models, and pass arguments to configure them."""
OWN_STATE = re.compile(
    r"\.grad$"  # what backward fills
    r"|^network\.engine$"  # what a network is drawn with, chosen where it is built or loaded
    r"|(^|\.)counters\.|^drawing\.seconds$"  # counts of a run, and a stopwatch
    r"|^space\.(log_)?symmetry_\w+$"  # of a copy that is being made
)


def foreign_assignments(file: Path) -> Iterator[str]:
    """Attributes that a module's functions assign of anything but themselves."""
    for node in ast.walk(ast.parse(file.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for part in (part for target in targets if target for part in ast.walk(target)):
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                name = ast.unparse(part)
                if not re.fullmatch(r"self\.\w+|ctx\.\w+", name) and not OWN_STATE.search(name):
                    yield f"{file.name}:{part.lineno} {name}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "object.__setattr__"):
            yield f"{file.name}:{node.lineno} {ast.unparse(node)}"


def test_no_function_mutates_a_model_to_configure_it():
    files = [file for name, file in MODULES.items() if part(name) in CONFIGURED]
    assert [found for file in files for found in foreign_assignments(file)] == []


def test_a_model_that_is_configured_would_be_noticed(tmp_path):
    file = tmp_path / "objective.py"
    file.write_text(
        "class Objective:\n"
        "    def __init__(self, model):\n"
        "        self.model = model\n"
        "        model.blind, exact = True, model.likelihood\n"
        "        self.model.likelihood = self.model.deep.likelihood = exact\n"
        "        model.count += 1\n"
        "        setattr(model, 'sigma', 1)\n"
        "        model.weight.grad = None\n"
    )
    found = [one.partition(" ")[2] for one in foreign_assignments(file)]
    expected = ["model.blind", "self.model.likelihood", "self.model.deep.likelihood", "model.count"]
    assert sorted(found) == sorted([*expected, "setattr(model, 'sigma', 1)"])


def test_no_module_is_named_for_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name for name in MODULES if vague & set(name.split("."))] == []


def test_every_package_on_disk_is_installed_and_every_installed_one_is_on_disk():
    on_disk = {name for name, file in MODULES.items() if file.name == "__init__.py"}
    assert sorted(SETUPTOOLS["packages"]) == sorted(on_disk)
    assert SETUPTOOLS["package-dir"] == FOLDERS
    folders_with_modules = {name.rpartition(".")[0] for name in MODULES} - {""}
    assert folders_with_modules <= on_disk


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """The names in a wheel built from a copy of the source, offline."""
    source = tmp_path_factory.mktemp("source")
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    built = subprocess.run(
        [*command, "-w", source / "dist", source], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return set(zipfile.ZipFile(next((source / "dist").glob("*.whl"))).namelist())


def test_a_wheel_holds_every_module_and_every_data_file(wheel):
    expected = {f"{PACKAGE}/py.typed"}
    for name, folder in FOLDERS.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
                expected.add(f"{name.replace('.', '/')}/{file.relative_to(ROOT / folder).as_posix()}")
    installed = {name for name in wheel if ".dist-info/" not in name}
    assert installed == expected
    assert {name.rpartition("/")[2] for name in wheel} >= {"LICENSE", "entry_points.txt", "METADATA"}


HEAVY = {"torch", "numba", "scipy", "matplotlib", "trimesh", "numpy", "PIL"}


@pytest.mark.parametrize(
    "statement", ["import inverse_graphics", "from inverse_graphics.cli.main import main; main(['--help'])"]
)
def test_what_must_start_fast_imports_nothing_heavy(statement):
    check = f"import sys; {statement}; sys.exit(str({HEAVY} & set(sys.modules)).strip('set()'))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_help_takes_less_than_four_tenths_of_a_second():
    """Of the processor, the best of five: what else the machine does takes time from the clock alone."""
    script = Path(sys.executable).with_name("inverse-graphics")
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([script, "--help"], capture_output=True, check=True)
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(times) < 0.4, times

"""`import inverse_graphics as ig`: every name is there for people and type checkers, and imported lazily."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

import inverse_graphics as ig
from inverse_graphics.moved_modules import MOVED

SOURCE = Path(ig.__file__).read_text(encoding="utf-8")
NAMES: list[str] = vars(ig)["__all__"]
MODULE_OF: dict[str, str] = vars(ig)["_MODULE_OF"]
DOCUMENTED = [name for name in NAMES if inspect.isfunction(getattr(ig, name))]


def names_for_type_checkers() -> dict[str, str]:
    """Module by name, of the imports that only type checkers see."""
    (branch,) = (node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    imports = [node for node in branch.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_and_programs_see_the_same_names_from_the_same_modules():
    modules = {name: f"{ig.__name__}.{module}" for name, module in MODULE_OF.items()}
    assert names_for_type_checkers() == modules
    assert set(NAMES) == set(modules)
    assert set(dir(ig)) >= {*NAMES, "__version__"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_what_its_module_calls_so(name):
    value = getattr(ig, name)
    assert not isinstance(value, ModuleType)
    assert value is getattr(sys.modules[f"{ig.__name__}.{MODULE_OF[name]}"], name)
    if name != "ImageLike":
        assert value.__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'inverse_graphics' has no attribute 'rendr'"):
        attrgetter("rendr")(ig)
    assert not hasattr(ig, "no_such_name")


def test_the_reference_lists_every_name():
    page = Path(__file__).parents[1] / "docs" / "reference" / "index.md"
    section = page.read_text(encoding="utf-8").split("## Names of the package")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    listed = {name: row[2].strip("` |") for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert listed == {name: module.partition(".")[0] for name, module in MODULE_OF.items()}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_function_documents_its_arguments_result_and_errors(name):
    function = getattr(ig, name)
    text = inspect.getdoc(function)
    assert text is not None
    summary, _, rest = text.partition("\n")
    assert summary.endswith(".")
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter}: " in rest, f"{name}: {parameter} is not documented"
    returned = inspect.signature(function).return_annotation
    assert ("\nReturns:\n" in rest) == (returned != "None")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_name_hides_a_package():
    packages = {path.parent.name for path in Path(ig.__file__).parent.glob("*/__init__.py")}
    assert (packages | {"assets", "scenes", "recipes", "cli"}).isdisjoint(NAMES)
    use = "assert callable(ig.render) and callable(ig.train); print(e.DEFAULT_ENGINE)"
    assert run(f"import inverse_graphics as ig, inverse_graphics.rendering.engines as e; {use}") == "embedded"


@pytest.mark.parametrize("former", MOVED)
def test_a_moved_module_is_found_by_its_former_name_with_a_warning(former):
    present = import_module(MOVED[former])
    sys.modules.pop(former, None)
    with pytest.warns(DeprecationWarning, match=f"{former} has moved: import {MOVED[former]}"):
        module = import_module(former)
    assert module.__name__ == former
    public = {name for name in vars(present) if not name.startswith("_")}
    assert public
    assert all(getattr(module, name) is getattr(present, name) for name in public)


@pytest.mark.parametrize(
    ("use", "without"),
    [
        ("ig.SceneError", {"torch", "numpy", "pydantic"}),
        ("ig.load_scene('breakfast')", {"torch", "numba", "PIL"}),
        ("ig.read_image", {"torch", "numba", "pydantic"}),
        ("ig.load_parser", {"tensorboard", "sklearn", "matplotlib", "mujoco", "open3d"}),
    ],
)
def test_a_name_imports_no_more_than_it_needs(use, without):
    code = f"import sys, inverse_graphics as ig; {use}; print({without} & set(sys.modules))"
    assert run(code) == "set()"


def test_importing_takes_no_time():
    code = (
        "from time import perf_counter as now; start = now(); import inverse_graphics; print(now() - start)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.06  # seconds

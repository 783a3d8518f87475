"""Registries: entries by name in the order of their modules, which are imported on first use only."""

import sys
from importlib import import_module

import pytest

from inverse_graphics.io.registry import Registry

MODULE = """\
from registry_holder import ENTRIES

@ENTRIES.register("{name}")
def {name}(): return "{name}"
"""


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """A registry of two modules, of which none is imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "registry_holder.py").write_text(
        "from inverse_graphics.io.registry import Registry\n"
        "ENTRIES = Registry('thing', 'registry_first', 'registry_second')\n"
    )
    for name in ("first", "second"):
        (tmp_path / f"registry_{name}.py").write_text(MODULE.format(name=name))
    yield import_module("registry_holder").ENTRIES
    for name in ("holder", "first", "second"):
        sys.modules.pop(f"registry_{name}", None)


def test_modules_are_imported_on_first_use_and_give_the_order(entries):
    import_module("registry_second")  # before the first
    assert "registry_first" not in sys.modules
    assert list(entries) == ["first", "second"]
    assert entries["second"]() == "second"
    assert len(entries) == 2
    assert "third" not in entries


def test_a_name_is_given_once():
    registry: Registry[type] = Registry("shape")
    registry.register("square")(int)
    with pytest.raises(ValueError, match="there is a shape 'square' already"):
        registry.register("square")(str)
    assert dict(registry) == {"square": int}

"""Former names of modules, from earlier documentation: importing one gives a warning and the module."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from warnings import warn

MOVED = {
    "inverse_graphics.formats": "inverse_graphics.io.images",
    "inverse_graphics.scene_parser": "inverse_graphics.inference.parser",
    "inverse_graphics.families.families": "inverse_graphics.families.registry",
    "inverse_graphics.models.air3d.reading": "inverse_graphics.models.air3d.inference",
    "inverse_graphics.models.residual.settings": "inverse_graphics.models.residual.network",
    "inverse_graphics.models.residual.operations": "inverse_graphics.models.residual.evaluation",
    "inverse_graphics.models.residual.compacted_network": "inverse_graphics.models.residual.compaction",
    "inverse_graphics.models.residual.block_kinds": "inverse_graphics.models.residual.block",
    "inverse_graphics.models.adaptive.repeated_input": "inverse_graphics.models.adaptive.cells",
}
"""Former name of a module -> its name."""


class MovedModules:
    """A finder and loader of modules by their former names, used if no other finder has found them."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find a moved module; None for any other name."""
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, self, origin=MOVED[fullname])  # type: ignore[arg-type]  # a loader by its methods

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a module with all names of the current one."""
        warn(f"{spec.name} has moved: import {MOVED[spec.name]}", DeprecationWarning, stacklevel=2)
        module = ModuleType(spec.name)
        present = vars(import_module(MOVED[spec.name]))
        vars(module).update({name: value for name, value in present.items() if not name.startswith("__")})
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is complete."""


def install() -> None:
    """Enable imports by former names; further calls have no effect."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())

"""Inferred scenes as scene files, which `inverse-graphics render` draws."""

from __future__ import annotations

from pathlib import Path

from inverse_graphics.errors import ModelError
from inverse_graphics.parse import Parse
from inverse_graphics.report.file_names import FileNames
from inverse_graphics.scene.scene_file import write_scene


class SceneFolder:
    """Writes the scene of each parse under the name of its image.

    Raises:
        StorageError: the folder or a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._names = FileNames(folder, ".yaml")

    def __call__(self, parse: Parse) -> None:
        """Write one.

        Raises:
            ModelError: the model infers no scenes in space.
        """
        if parse.scene is None:
            raise ModelError(
                f"model '{parse.model}' infers boxes in a picture and no scenes: choose a 3D model"
            )
        write_scene(parse.scene, self._names.of(parse.image))

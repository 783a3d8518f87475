"""Inferred scenes as scene files, which `inverse-graphics render` draws.

Names for what is written about each of many images.
"""

from __future__ import annotations

from pathlib import Path

from inverse_graphics.errors import ModelError
from inverse_graphics.inference.parse import Parse
from inverse_graphics.io.files import storage_error
from inverse_graphics.scene.scene_file import save_scene


class FileNames:
    """Files of a folder, made if need be, named after images; names that recur are numbered.

    Raises:
        StorageError: the folder cannot be made.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder, self._suffix = folder, suffix
        self._used: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from error

    def path_for(self, image: str) -> Path:
        """The file for an image by its path; another one each time."""
        stem = Path(image).stem
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return self._folder / f"{name}{self._suffix}"


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
        save_scene(parse.scene, self._names.path_for(parse.image))

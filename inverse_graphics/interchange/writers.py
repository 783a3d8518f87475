"""Writers of inferred scenes: each opens a target and then accepts parses one by one.

    @WRITERS.register("mine")
    @contextmanager
    def write_mine(target: Path, count: int) -> Iterator[Callable[[Parse], None]]:
        with atomic_write(target, "w") as file:
            yield lambda parse: …

A writer in another module is registered by adding that module to `WRITERS`, and then available as
`infer --write mine=FILE`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from inverse_graphics.errors import ModelError, StorageError
from inverse_graphics.inference.parse import Parse
from inverse_graphics.io.files import FileNames, atomic_write
from inverse_graphics.io.registry import Registry
from inverse_graphics.scene.scene_file import save_scene

Write = Callable[[Parse], object]
"""Writes one parse."""
OpenWriter = Callable[[Path, int], AbstractContextManager[Write]]
"""Opens a file or folder for at most the given number of parses, and completes it at the end of the block."""

WRITERS: Registry[OpenWriter] = Registry(
    "writer", "inverse_graphics.interchange.writers", "inverse_graphics.visualisation.overlay"
)
"""Writers by the names that `infer --write` takes."""


def open_writer(name: str, target: Path, count: int) -> AbstractContextManager[Write]:
    """Open a writer.

    Args:
        name: name of the writer.
        target: file or folder to write.
        count: upper bound on the number of parses.

    Raises:
        StorageError: there is no such writer, or the target cannot be written.
    """
    if name not in WRITERS:
        raise StorageError(f"no writer {name!r}: known writers: {', '.join(WRITERS)}")
    return WRITERS[name](target, count)


@WRITERS.register("json")
@contextmanager
def write_json_lines(target: Path, count: int) -> Iterator[Write]:
    """Write a file with one JSON object per parse and line.

    Raises:
        StorageError: the file cannot be written.
    """
    del count
    with atomic_write(target, "w") as file:
        yield lambda parse: file.write(json.dumps(parse.to_json(), allow_nan=False) + "\n")


@WRITERS.register("scenes")
@contextmanager
def write_scenes(target: Path, count: int) -> Iterator[Write]:
    """Write a folder with a scene file per parse, which `inverse-graphics render` renders.

    Raises:
        StorageError: the folder or a file cannot be written.
    """
    del count
    yield SceneFolder(target)


class SceneFolder:
    """Writes the scene of each parse to a YAML file named after its image.

    Args:
        folder: output folder, created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._names = FileNames(folder, ".yaml")

    def __call__(self, parse: Parse) -> None:
        """Write the scene of one parse.

        Raises:
            ModelError: the model infers 2D boxes, not scenes.
            StorageError: the folder or the file cannot be written.
        """
        if parse.scene is None:
            raise ModelError(f"model '{parse.model}' infers 2D boxes, not scenes: choose a 3D model")
        save_scene(parse.scene, self._names.path_for(parse.image))

"""What searches found, in a folder: for each image a scene file, a picture and an animation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.formats import save
from inverse_graphics.optimisation.optimiser import Found
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.report.file_names import FileNames
from inverse_graphics.report.scene_folder import SceneFolder
from inverse_graphics.report.search_picture import draw_search, write_animation


class SearchFolder:
    """Writes NAME.yaml, NAME.png and NAME.gif for each image NAME.

    Raises:
        StorageError: the folder or a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._write_scene = SceneFolder(folder)
        self._pictures, self._animations = FileNames(folder, ".png"), FileNames(folder, ".gif")

    def __call__(self, image: NDArray[np.float32], found: Found, search: SceneSearch) -> None:
        """Write those of one image, (H, W, 3), as it was given to the search."""
        parse = found.parse
        self._write_scene(parse)
        save(self._pictures.of(parse.image), draw_search(image, parse))
        write_animation(self._animations.of(parse.image), parse, found.search, search)

"""Names for what is written about each of many images."""

from __future__ import annotations

from pathlib import Path

from inverse_graphics.files import storage_error


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

    def of(self, image: str) -> Path:
        """The file for an image by its path; another one each time."""
        stem = Path(image).stem
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return self._folder / f"{name}{self._suffix}"

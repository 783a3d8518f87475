"""Files of a pack by name: a name from a stranger never leads out of the pack's folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from inverse_graphics.errors import AssetError

MAX_FILE_BYTES = 32 * 2**20


def read_confined(folder: Path, name: str) -> bytes:
    """Read the file `name`, a relative path with forward slashes, inside `folder`.

    Raises:
        AssetError: the name leads out of the folder (.., an absolute path, a drive, a link), or the file is
            missing, is not a plain file, is larger than 32 MiB or cannot be read.
    """
    path = _resolved(folder, name)
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise AssetError(f"file '{_shown(name)}' {kind}: expected it in the pack's folder {folder}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise AssetError(f"file '{_shown(name)}' cannot be read: {problem.strerror}") from problem
    if len(content) > MAX_FILE_BYTES:
        raise AssetError(
            f"file '{_shown(name)}' is larger than {MAX_FILE_BYTES // 2**20} MiB: make it smaller"
        )
    return content


def _resolved(folder: Path, name: str) -> Path:
    """The path meant by `name`, after links have been followed."""
    relative = PurePosixPath(name)
    leads_out = relative.is_absolute() or ".." in relative.parts or any(c in name for c in '\\:\0"')
    root = folder.resolve()
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is no name
        leads_out = True
    if leads_out or not path.is_relative_to(root):
        raise AssetError(f"file '{_shown(name)}' lies outside the pack: expected a path inside {folder}")
    return path


def _shown(name: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return plain if len(plain) <= 80 else plain[:77] + "..."

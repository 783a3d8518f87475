"""Scene files: YAML or JSON by suffix, with an exact round trip; shipped scenes by name."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from inverse_graphics.errors import SceneError
from inverse_graphics.io.documents import SUFFIXES, find_document, read_document, shipped_documents, validated
from inverse_graphics.io.files import atomic_write
from inverse_graphics.scene.scene import Scene


def shipped_scenes() -> tuple[str, ...]:
    """List the names of the example scenes that come with the package.

    Returns:
        The names, sorted.
    """
    return tuple(shipped_documents("scenes"))


def find_scene(name_or_path: str | Path) -> Path:
    """Find the file of a scene.

    Args:
        name_or_path: A shipped scene's name, or a path.

    Returns:
        The shipped scene's file, or the path itself.

    Raises:
        SceneError: Neither a shipped scene nor a path with a suffix that scenes have.
    """
    return find_document(name_or_path, "scene", shipped_documents("scenes"), SceneError)


def load_scene(name_or_path: str | Path) -> Scene:
    """Load a scene from a file, or a shipped one by its name.

    Args:
        name_or_path: A .yaml, .yml or .json file, or a shipped scene's name (see `shipped_scenes`).

    Returns:
        The scene, validated.

    Raises:
        SceneError: No such file, not a document, or not a scene; one line: file, field, what came, what was
            expected.
    """
    path = find_scene(name_or_path)
    document = read_document(path, SceneError)
    if not isinstance(document, dict):
        kind = {list: "a list", str: "text", type(None): "nothing"}.get(type(document), "a number")
        raise SceneError(f"{path}: got {kind} at the top, expected a mapping with 'camera' and 'objects'")
    return validated(Scene, document, str(path), SceneError)


def save_scene(scene: Scene, path: str | Path) -> None:
    """Save a scene to a file from which `load_scene` loads an equal one.

    Args:
        scene: The scene.
        path: A file that ends in .yaml, .yml or .json.

    Raises:
        SceneError: Another suffix.
        StorageError: The file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SceneError(f"cannot save a scene to '{path}': expected the suffix .yaml, .yml or .json")
    document = scene.model_dump(mode="json")
    if path.suffix.lower() == ".json":
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
    with atomic_write(path) as file:
        file.write(text.encode())

"""Untrusted mesh files of every format that is read: bounded, and confined to their pack."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.gltf import read_gltf
from inverse_graphics.packs.obj import read_obj
from inverse_graphics.packs.part import MeshFileError, Parts, check_faces
from inverse_graphics.packs.ply import read_ply
from inverse_graphics.packs.stl import read_stl
from inverse_graphics.packs.texture import PackFolder, read_confined

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")


def read_mesh_file(folder: Path, name: str, with_materials: bool = True) -> Parts:
    """Read a mesh inside `folder`; its images are fetched when they are needed.

    Args:
        folder: The pack's.
        name: Of the file, a path within the folder.
        with_materials: Whether files that hold nothing but materials are read.

    Returns:
        Triangles in the file's own unit and axes.

    Raises:
        AssetError: The file, or one that it refers to, is missing, broken, too large or outside the folder;
            it has no faces or more than 200,000; its vertices are not finite.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise AssetError(f"cannot read '{suffix}' meshes: expected one of {', '.join(SUFFIXES)}")
    content = read_confined(folder, name)
    try:
        read = _read(content, suffix, PackFolder.around(folder, name), with_materials)
        check_faces(sum(len(part.corners) for part in read.parts))
    except AssetError:
        raise
    except Exception as problem:  # what a stranger's file can hold has no end
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        kind = suffix.removeprefix(".").upper()
        raise AssetError(f"the file is not a {kind} mesh that can be read: {reason}") from problem
    parts = [part for part in read.parts if len(part.corners)]
    if not parts:
        raise AssetError("the mesh has 0 faces: expected a triangle mesh")
    if not all(np.isfinite(part.corners).all() for part in parts):
        raise AssetError("the mesh has vertices that are NaN or infinite: expected finite numbers")
    return Parts(parts, tuple(dict.fromkeys(read.remarks)))


def _read(content: bytes, suffix: str, folder: PackFolder, with_materials: bool) -> Parts:
    if not content:
        raise MeshFileError("the file is empty (0 bytes): expected a mesh")
    if suffix == ".obj":
        return read_obj(content, folder, with_materials)
    if suffix == ".ply":
        return read_ply(content, folder)
    return read_stl(content) if suffix == ".stl" else read_gltf(content, folder)

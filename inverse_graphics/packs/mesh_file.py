"""Untrusted mesh files, read by trimesh: bounded before loading and confined to their pack."""

from __future__ import annotations

import logging
import re
import warnings
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh.resolvers import Resolver
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.glb import check_glb
from inverse_graphics.packs.surface import TriangleSoup
from inverse_graphics.packs.texture import decode_texture, open_image, read_confined

MAX_FACES = 200_000
MAX_SOLIDS = 1000


def check_obj(content: bytes) -> None:
    """Refuse an OBJ with too many faces or vertices.

    Raises:
        ValueError: with one line.
    """
    _within("faces", content.count(b"\nf"), MAX_FACES)
    _within("vertices", content.count(b"\nv "), 3 * MAX_FACES)


def check_stl(content: bytes) -> None:
    """Refuse an ASCII STL with too many solids or corners; the size of a binary one bounds its faces.

    Raises:
        ValueError: with one line.
    """
    _within("solids", content.count(b"endsolid"), MAX_SOLIDS)
    if content[:5].lower() == b"solid":
        _within("corners", content.count(b"vertex"), 3 * MAX_FACES)


def check_ply(content: bytes) -> None:
    """Refuse a PLY whose header declares too many elements.

    Raises:
        ValueError: with one line.
    """
    header = content[: content.find(b"end_header")]
    for name, count in re.findall(rb"element\s+(\w+)\s+(\S+)", header):
        bound = MAX_FACES if name == b"face" else 3 * MAX_FACES
        _within(f"elements '{name.decode()[:20]}'", int(count[:20]), bound)


def _within(what: str, count: int, bound: int) -> None:
    if not 0 <= count <= bound:
        raise ValueError(f"{count:,} {what}: expected at most {bound:,}")


SUFFIXES = (".glb", ".obj", ".ply", ".stl")
_CHECKS = {"glb": check_glb, "obj": check_obj, "ply": check_ply, "stl": check_stl}
DEFAULT_COLOUR = (0.7, 0.7, 0.7)

Floats = NDArray[np.float64]
Part = tuple[Floats, trimesh.Trimesh]

# trimesh logs exceptions that it catches, with tracebacks; errors are reported here in one line instead
logging.getLogger("trimesh").addHandler(logging.NullHandler())


def read_mesh_file(folder: Path, name: str) -> tuple[TriangleSoup, NDArray[np.float32] | None]:
    """Read a mesh inside `folder` with its colours, its texture coordinates and its texture.

    Returns:
        Triangles in the file's own unit and axes, with texture coordinates if all of them have some, and a
        texture (Ht, Wt, 3) in [0, 1] or None.

    Raises:
        AssetError: the file, or one that it refers to, is missing, broken, too large or outside the folder;
            it has no faces or more than 200,000; its vertices are not finite; it has two textures.

    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise AssetError(f"cannot read '{suffix}' meshes: expected one of {', '.join(SUFFIXES)}")
    files = _PackFiles(folder)
    parts = _load(read_confined(folder, name), suffix.removeprefix("."), files)
    if files.refused:
        raise AssetError(files.refused[0])
    if not parts:
        raise AssetError("the mesh has 0 faces: expected a triangle mesh")
    images = {id(image): image for _, mesh in parts if (image := _image(mesh)) is not None}
    if len(images) > 1:
        raise AssetError(f"the mesh has {len(images)} textures: expected one at most, bake them into one")
    texture = decode_texture(next(iter(images.values()))) if images else None
    return _soup(parts), texture


class _PackFiles(Resolver):
    """Gives trimesh access to files inside the pack by name, and records refusals."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refused: list[str] = []

    def get(self, key: str) -> bytes:
        try:
            name = str(key).strip()
            content = read_confined(self._folder, name)
            if PurePosixPath(name).suffix.lower() != ".mtl":
                open_image(content, f"file '{name}'")
        except AssetError as problem:
            self.refused.append(str(problem))
            raise OSError(str(problem)) from problem
        return content

    def keys(self) -> list[str]:
        return []

    def write(self, name: str, data: object) -> None:  # noqa: ARG002 - trimesh's interface
        raise OSError(f"packs are read only: {name}")

    def namespaced(self, namespace: str) -> _PackFiles:
        raise OSError(f"packs have no inner archives: {namespace}")


def _load(content: bytes, kind: str, files: _PackFiles) -> list[Part]:
    try:
        _CHECKS[kind](content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(BytesIO(content), file_type=kind, resolver=files, process=False)
            return _placed_parts(scene)
    except AssetError:
        raise
    except Exception as problem:  # loaders raise many kinds of exception
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise AssetError(f"the file is not a {kind.upper()} mesh that can be read: {reason}") from problem


def _placed_parts(scene: trimesh.Scene) -> list[Part]:
    """Each mesh of the file with its transform, (4, 4), to the file's frame; counted before any is copied."""
    parts, faces = [], 0
    for node in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[node]
        mesh = scene.geometry[geometry]
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            parts.append((np.asarray(transform, np.float64), mesh))
            faces += len(mesh.faces)
            if faces > MAX_FACES:
                raise AssetError(f"the mesh has more than {MAX_FACES:,} faces: simplify it")
    return parts


def _soup(parts: list[Part]) -> TriangleSoup:
    uv = [corner_uv for _, mesh in parts if (corner_uv := _corner_uv(mesh)) is not None]
    return TriangleSoup(
        corners=np.concatenate([_corner_positions(transform, mesh) for transform, mesh in parts]),
        colours=np.concatenate([_corner_colours(mesh) for _, mesh in parts]),
        uv=np.concatenate(uv) if len(uv) == len(parts) else None,
    )


def _corner_positions(transform: Floats, mesh: trimesh.Trimesh) -> Floats:
    faces, vertices = np.asarray(mesh.faces), np.asarray(mesh.vertices, np.float64)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise AssetError(f"a face names vertex {faces.max()}: the mesh has {len(vertices)} vertices")
    with np.errstate(all="ignore"):
        placed = vertices @ transform[:3, :3].T + transform[:3, 3]
        mirrored = np.linalg.det(transform[:3, :3]) < 0
    if not np.isfinite(placed[faces]).all():
        raise AssetError("the mesh has vertices that are NaN or infinite: expected finite numbers")
    corners: Floats = placed[faces[:, ::-1] if mirrored else faces]
    return corners


def _corner_colours(mesh: trimesh.Trimesh) -> Floats:
    """The file's colours, (F, 3, 3): of faces, of vertices or of the material, whichever there is."""
    visual, faces = mesh.visual, np.asarray(mesh.faces)
    everywhere = np.ones((len(faces), 3, 3))
    if isinstance(visual, ColorVisuals) and visual.kind == "face":
        return everywhere * np.asarray(visual.face_colors)[:, None, :3] / 255
    if isinstance(visual, ColorVisuals) and visual.kind == "vertex":
        return np.asarray(visual.vertex_colors)[faces][..., :3] / 255
    if isinstance(visual, TextureVisuals):
        own = visual.vertex_attributes.get("color")
        vertex = 1.0 if own is None or len(own) != len(mesh.vertices) else _unit_rgb(own)[faces]
        return everywhere * vertex * _material_colour(visual)
    return everywhere * DEFAULT_COLOUR


def _material_colour(visual: TextureVisuals) -> Floats:
    material = visual.material
    if isinstance(material, PBRMaterial):
        factor = material.baseColorFactor
        white = material.baseColorTexture is not None or visual.vertex_attributes.get("color") is not None
        return np.ones(3) * (1.0 if white else DEFAULT_COLOUR) if factor is None else _unit_rgb(factor)
    if getattr(material, "image", None) is not None:
        return np.ones(3)  # an OBJ's texture is not multiplied by Kd, as exporters often write a wrong one
    return _unit_rgb(np.asarray(material.main_color))


def _unit_rgb(colour: NDArray[Any]) -> Floats:
    """RGB in [0, 1] from numbers or from integers of any width."""
    colour = np.asarray(colour)
    full = np.iinfo(colour.dtype).max if np.issubdtype(colour.dtype, np.integer) else 1.0
    return np.clip(np.nan_to_num(colour[..., :3].astype(np.float64) / full), 0.0, 1.0)


def _corner_uv(mesh: trimesh.Trimesh) -> Floats | None:
    uv = getattr(mesh.visual, "uv", None)
    if uv is None or np.shape(uv) != (len(mesh.vertices), 2) or not np.isfinite(uv).all():
        return None
    return np.asarray(uv, np.float64)[np.asarray(mesh.faces)]


def _image(mesh: trimesh.Trimesh) -> Image.Image | None:
    """The texture image of a mesh, not yet decoded, if it has one."""
    material = getattr(mesh.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return image if isinstance(image, Image.Image) else None

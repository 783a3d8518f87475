"""Wavefront OBJ and MTL files (Alias Wavefront, "Object files", 1995).

Read: polygons with negative indices, colours behind coordinates, several material libraries, and of a
material Kd, Ke and map_Kd with its options. Skipped: points, lines, normals, groups and free-form surfaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.part import (
    ALTERNATIVE,
    DEFAULT_COLOUR,
    MAX_FACES,
    Floats,
    Material,
    MeshFileError,
    Part,
    Parts,
    Wrap,
    check_bound,
    check_faces,
    decode_text,
    triangulate,
)
from inverse_graphics.packs.texture import PackFolder

MAX_MATERIALS = 1000


@dataclass
class _Statements:
    """The content of an OBJ, line by line; a corner's indices count from 0, −1 for no texture coordinate."""

    positions: list[tuple[float, ...]] = field(default_factory=list)
    uv: list[tuple[float, float]] = field(default_factory=list)
    corners: list[tuple[int, int]] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    material_ids: list[int] = field(default_factory=list)
    """Of each face, a number in `materials`."""
    materials: dict[str | None, int] = field(default_factory=lambda: {None: 0})
    libraries: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _MtlMaterial:
    """A material, and the transform of texture coordinates in its image's options."""

    material: Material
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def read_obj(content: bytes, folder: PackFolder, with_materials: bool) -> Parts:
    """Read an OBJ.

    Args:
        content: Of the file.
        folder: Where it lies.
        with_materials: Whether its material libraries are read.

    Returns:
        A part for each material, and for its faces without texture coordinates another.

    Raises:
        MeshFileError: broken or beyond the bounds.
        AssetError: a material library that is missing or lies outside the pack.
    """
    statements = _read_statements(_lines(content))
    corners = np.array(statements.corners, np.int64).reshape(-1, 2)
    positions, colours = _positions(statements.positions)
    uv = np.array(statements.uv, np.float64).reshape(-1, 2)
    corners[corners[:, 1] >= len(uv), 1] = -1  # coordinates that are named but not there
    places, face = triangulate(corners[:, 0], np.array(statements.sides, np.int64), positions)
    vertices, coordinates = corners[places].transpose(2, 0, 1)
    used = np.array(statements.material_ids, np.int64)[face]
    has_uv = (coordinates >= 0).all(axis=1)
    materials, remarks = _materials(statements, folder) if with_materials else ({}, [])
    parts = []
    for name, number in statements.materials.items():
        for rows, with_uv in ((has_uv, True), (~has_uv, False)):
            chosen = rows & (used == number)
            if chosen.any():
                parts.append(
                    _with_material(
                        Part(
                            positions[vertices[chosen]],
                            None if colours is None else colours[vertices[chosen]],
                            uv[coordinates[chosen]] if with_uv else None,
                        ),
                        materials.get(name),
                        remarks,
                    )
                )
    return Parts(parts, tuple(remarks))


def _with_material(part: Part, found: _MtlMaterial | None, remarks: list[str]) -> Part:
    """Give a part its material; an image is not multiplied by Kd or by colours of vertices."""
    if found is None:
        return part
    if found.material.image is None:
        return replace(part, material=found.material)
    if part.uv is None:
        remarks.append("faces without texture coordinates are drawn in their material's Kd")
        return replace(part, material=replace(found.material, image=None))
    # exporters often leave a Kd that is not meant for the image, and colours of what the image shows
    material = replace(found.material, colour=(1.0, 1.0, 1.0))
    return Part(part.corners, None, part.uv * found.scale + found.offset, material)


def _lines(content: bytes) -> Iterator[str]:
    """Lines without comments, those that end in a backslash joined with the next."""
    text = decode_text(content)
    if "#" in text:  # within a name it is no comment
        text = re.sub(r"(?m)(^|(?<=[ \t]))#.*", "", text)
    if "\\" in text:
        text = re.sub(r"\\[ \t]+\n", r"\\\n", text).replace("\\\n", " ")
    return (match.group() for match in re.finditer(r"[^\n]+", text))


def _read_statements(lines: Iterable[str]) -> _Statements:
    statements = _Statements()
    material_id, faces = 0, 0
    for line in lines:
        words = line.split()
        keyword = words[0] if words else ""
        try:
            if keyword == "v":
                statements.positions.append(tuple(map(float, words[1:8])))
                if len(statements.positions) > 3 * MAX_FACES:
                    check_bound("vertices", len(statements.positions), 3 * MAX_FACES)
            elif keyword == "vt":
                statements.uv.append((float(words[1]), float(words[2]) if len(words) > 2 else 0.0))
                if len(statements.uv) > 3 * MAX_FACES:
                    check_bound("texture coordinates", len(statements.uv), 3 * MAX_FACES)
            elif keyword in ("f", "fo"):
                faces += max(len(words) - 3, 1)
                check_faces(faces)
                statements.corners += [
                    _corner(word, len(statements.positions), len(statements.uv)) for word in words[1:]
                ]
                statements.sides.append(len(words) - 1)
                statements.material_ids.append(material_id)
            elif keyword == "usemtl":
                name = line.strip()[6:].strip()
                material_id = statements.materials.setdefault(name, len(statements.materials))
                check_bound("materials", material_id, MAX_MATERIALS)
            elif keyword == "mtllib":
                statements.libraries.append(line.strip()[6:].strip())
                check_bound("material libraries", len(statements.libraries), MAX_MATERIALS)
        except (ValueError, IndexError) as problem:
            raise MeshFileError(f"it has the line '{line.strip()[:60]}': expected numbers") from problem
    return statements


def _corner(word: str, positions: int, coordinates: int) -> tuple[int, int]:
    """The indices in "v", "v/vt", "v//vn" or "v/vt/vn"; a negative one counts from the last so far."""
    indices = word.split("/")
    vertex, uv = int(indices[0]), int(indices[1]) if len(indices) > 1 and indices[1] else 0
    if vertex == 0 or -vertex > positions or -uv > coordinates:
        raise MeshFileError(f"a face has the corner '{word[:40]}': expected indices from 1, or from −1 down")
    return vertex - 1 if vertex > 0 else positions + vertex, uv - 1 if uv >= 0 else coordinates + uv


def _positions(rows: Sequence[tuple[float, ...]]) -> tuple[Floats, Floats | None]:
    """Positions (V, 3), and colours (V, 3) if all rows have some: behind x y z, or behind x y z w."""
    lengths = {len(row) for row in rows}
    if lengths and min(lengths) < 3:
        raise MeshFileError("it has a vertex of fewer than three numbers: expected x, y and z")
    positions = np.array([row[:3] for row in rows], np.float64).reshape(-1, 3)
    if not lengths or min(lengths) < 6:
        return positions, None
    colours = np.array([row[3:6] for row in rows], np.float64)
    highest = np.nan_to_num(colours).max()
    return positions, np.nan_to_num(colours / (255.0 if highest > 1 else 1.0)).clip(0, 1)


def _materials(
    statements: _Statements, folder: PackFolder
) -> tuple[dict[str | None, _MtlMaterial], list[str]]:
    """The materials by name; under None that of the faces without usemtl, if there is only one."""
    materials: dict[str | None, _MtlMaterial] = {}
    for library in statements.libraries:
        for name in _named(library, folder):
            try:
                text = decode_text(folder.read(name))
                inner = PackFolder.around(folder.root, folder.find(name))
            except AssetError as problem:
                raise AssetError(f"{problem}; {ALTERNATIVE}") from problem
            for material, found in _read_mtl(text, inner):
                materials.setdefault(material, found)
    remarks = [
        f"the material '{name[:40]}' is in none of its libraries"
        for name in statements.materials
        if statements.libraries and name is not None and name not in materials
    ]
    if len(materials) == 1:
        materials[None] = next(iter(materials.values()))
    return materials, remarks[:1]


def _named(library: str, folder: PackFolder) -> list[str]:
    """The names in a list of libraries; a name may hold spaces too, then there is only one."""
    names = library.split()
    several = not folder.exists(library) and any(folder.exists(name) for name in names)
    return names if several else [library]


def _read_mtl(text: str, folder: PackFolder) -> Iterator[tuple[str, _MtlMaterial]]:
    name, current = None, _MtlMaterial(Material(colour=DEFAULT_COLOUR))
    blank, count = current, 0
    for line in re.sub(r"(?m)(^|(?<=[ \t]))#.*", "", text).split("\n"):
        keyword, rest = [*line.split(None, 1), "", ""][:2]
        keyword, rest = keyword.lower(), rest.strip()
        if keyword == "newmtl":
            if name is not None:
                yield name, current
            name, current, count = rest, blank, count + 1
            check_bound("materials", count, MAX_MATERIALS)
        elif keyword == "kd" and (colour := _colour(rest)):
            current = replace(current, material=replace(current.material, colour=colour))
        elif keyword == "ke" and (colour := _colour(rest)):
            current = replace(current, material=replace(current.material, emission=colour))
        elif keyword == "map_kd" and rest:
            current = _with_image(current, rest, folder)
    if name is not None:
        yield name, current


def _colour(rest: str) -> tuple[float, float, float] | None:
    """Three numbers, or one for all; None for a spectrum."""
    words = rest.split()[:3]
    if not words or words[0].lower() in ("spectral", "xyz"):
        return None
    try:
        numbers = [min(max(float(word), 0.0), 1.0) for word in words]
    except ValueError as problem:
        raise MeshFileError(f"its material has the colour '{rest[:40]}': expected numbers") from problem
    red, green, blue = (numbers * 3)[:3] if len(numbers) == 1 else (*numbers, 0.0)[:3]
    return red, green, blue


_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-colorspace": 1,
    "-imfchan": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1,
}  # fmt: skip
"""The options of an image, and how many words follow; -o, -s and -t may have fewer."""


def _with_image(current: _MtlMaterial, rest: str, folder: PackFolder) -> _MtlMaterial:
    """Take the options from before an image's name, which may hold spaces."""
    wrap: Wrap = "repeat"
    scale, offset = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
    while (words := rest.split())[0].lower() in _OPTIONS and len(words) > 2:
        option = words[0].lower()
        values = words[1 : 1 + _OPTIONS[option]]
        if option in ("-o", "-s", "-t"):
            values = values[: next((i for i, word in enumerate(values) if not _is_number(word)), 3)]
        rest = rest.split(None, 1 + len(values))[-1] if len(words) > 1 + len(values) else words[-1]
        if option == "-clamp":
            wrap = "clamp" if values[0] == "on" else "repeat"
        elif option in ("-o", "-s"):
            target = offset if option == "-o" else scale
            target[: len(values)] = [float(value) for value in values]
    material = replace(current.material, image=folder.image(rest), wrap=(wrap, wrap))
    return _MtlMaterial(material, (scale[0], scale[1]), (offset[0], offset[1]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

"""PLY files, text and binary of either byte order (Turk 1994, "The PLY Polygon File Format").

Read: polygons and triangle strips; colours of vertices and faces; texture coordinates of vertices and, as
MeshLab writes them, of the corners of faces; the images that comments name. Skipped: other elements.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.part import (
    MAX_FACES,
    Material,
    MeshFileError,
    Part,
    Parts,
    TextureImage,
    check_bound,
    check_faces,
    check_vertices,
    decode_text,
    triangulate,
)
from inverse_graphics.packs.surface import Floats, Ints
from inverse_graphics.packs.texture import PackFolder

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_UV = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
MAX_ELEMENTS = 100
MAX_LIST = 3 * MAX_FACES
MAX_HEADER_BYTES = 2**16
MAX_RAGGED = 10 * MAX_FACES
MAX_ITEMS = 2**31


@dataclass(frozen=True)
class _Lists:
    """N lists of numbers, one after the other."""

    counts: Ints
    values: Floats


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    count_type: str | None = None
    """Of a list."""


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)
    columns: dict[str, Floats | _Lists] = field(default_factory=dict)

    def numbers(self, names: tuple[str, ...]) -> Floats | None:
        """Columns side by side, (N, …), or None if one is missing."""
        columns = [self.columns.get(name) for name in names]
        found = [column for column in columns if isinstance(column, np.ndarray)]
        return np.stack(found, axis=-1) if len(found) == len(names) else None

    def lists(self, *names: str) -> _Lists | None:
        """The first list of one of the names."""
        found = (self.columns.get(name) for name in names)
        return next((column for column in found if isinstance(column, _Lists)), None)

    def colours(self) -> Floats | None:
        """Colours (N, 3) in [0, 1], whatever type they have."""
        for names in _COLOURS:
            if (values := self.numbers(names)) is not None:
                values = np.nan_to_num(values)
                kind = next(p.type for p in self.properties if p.name == names[0])
                return (values / _full_scale(kind, float(values.max(initial=0)))).clip(0, 1)
        return None


def _full_scale(kind: str, highest: float) -> float:
    """The value of a full channel: of floats 1, of integers their largest, or 255 if all fit in a byte."""
    if kind.startswith("f"):
        return 1.0 if highest <= 1 else 255.0
    return 255.0 if kind in ("i4", "u4", "i8", "u8") and highest <= 255 else float(np.iinfo(kind).max)


def read_ply(content: bytes, folder: PackFolder) -> Parts:
    """Read a PLY.

    Raises:
        MeshFileError: broken or beyond the bounds.
    """
    order, elements, images, start = _read_header(content)
    if order == "=":
        _fill_from_text(elements, content[start:])
    else:
        _fill_from_binary(elements, content, start, order)
    by_name = {element.name: element for element in elements}
    vertices = by_name.get("vertex", _Element("vertex", 0))
    positions = vertices.numbers(("x", "y", "z"))
    if positions is None:
        raise MeshFileError("it has no vertices with x, y and z: expected a PLY mesh")
    faces = by_name.get("face", _Element("face", 0))
    polygons = faces.lists("vertex_indices", "vertex_index") or _Lists(np.zeros(0, np.int64), np.zeros(0))
    strips = by_name.get("tristrips", _Element("tristrips", 0)).lists("vertex_indices", "vertex_index")
    parts = _polygon_parts(vertices, faces, polygons, positions, [folder.image(name) for name in images])
    if strips is not None:
        triangles = _strip_triangles(strips)
        check_vertices(triangles, len(positions))
        colours = vertices.colours()
        parts.append(Part(positions[triangles], None if colours is None else colours[triangles]))
    return Parts([part for part in parts if len(part.corners)])


def _polygon_parts(
    vertices: _Element, faces: _Element, polygons: _Lists, positions: Floats, images: list[TextureImage]
) -> list[Part]:
    indices = _indices(polygons)
    places, face = triangulate(indices, polygons.counts, positions)
    triangles = indices[places]
    uv = _corner_uv(faces, polygons, places)
    if uv is None:
        own = [columns for names in _UV if (columns := vertices.numbers(names)) is not None]
        uv = own[0][triangles] if own else None
    if images and uv is not None:  # colours beside them are the same surface once more, or all grey
        column = faces.columns.get("texnumber")
        number = column[face] if isinstance(column, np.ndarray) else np.zeros(len(face))
        chosen = [(number == i, Material(image=image)) for i, image in enumerate(images)]
        none = (number < 0) | (number >= len(images))
        return [
            Part(positions[triangles[rows]], None, uv[rows], material)
            for rows, material in [*chosen, (none, None)]
        ]
    of_faces, of_vertices = faces.colours(), vertices.colours()
    colours = None if of_vertices is None else of_vertices[triangles]
    if of_faces is not None:
        colours = np.repeat(of_faces[face][:, None], 3, axis=1)
    return [Part(positions[triangles], colours, uv)]


def _indices(lists: _Lists) -> Ints:
    if not (np.abs(lists.values) < MAX_ITEMS).all():
        raise MeshFileError("a face names a vertex that is not there")
    return lists.values.astype(np.int64)


def _corner_uv(faces: _Element, polygons: _Lists, places: Ints) -> Floats | None:
    """Texture coordinates (F, 3, 2) that stand with the faces, two numbers for each corner."""
    uv = faces.lists("texcoord", "texcoords")
    if uv is None or (uv.counts != 2 * polygons.counts).any():
        return None
    return uv.values.reshape(-1, 2)[places]


def _strip_triangles(strips: _Lists) -> Ints:
    """The triangles (F, 3) of strips, which end where their list does, or at −1."""
    if len(strips.values) < 3:
        return np.zeros((0, 3), np.int64)
    ends = np.cumsum(strips.counts)[:-1]
    values = np.insert(_indices(strips), ends, -1)
    triangles = np.lib.stride_tricks.sliding_window_view(values, 3)
    place = np.arange(len(triangles))
    starts = np.maximum.accumulate(np.where(np.r_[-1, values[:-1]] < 0, np.arange(len(values)), 0))
    odd = (place - starts[: len(place)]) % 2 == 1
    triangles = np.where(odd[:, None], triangles[:, [1, 0, 2]], triangles)
    triangles = triangles[(triangles >= 0).all(axis=1)]
    check_faces(len(triangles))
    return triangles


def _read_header(content: bytes) -> tuple[str, list[_Element], list[str], int]:
    """The byte order, the elements, the names of images, and where the data begins."""
    end = content.find(b"end_header", 0, MAX_HEADER_BYTES)
    if not content.startswith(b"ply") or end < 0:
        raise MeshFileError("it does not begin with the header of a PLY file")
    newline = next((mark for mark in (b"\r\n", b"\r") if content.startswith(b"ply" + mark)), b"\n")
    order, elements, images = "", [], []
    for line in decode_text(content[:end]).split("\n"):
        match line.split():
            case ["format", encoding, *_] if encoding in _ORDERS:
                order = _ORDERS[encoding]
            case ["comment", word, *_] if word.lower() == "texturefile":
                images.append(line.strip().split(None, 2)[2:])
            case ["element", name, count, *_]:
                elements.append(_Element(name, _count(name, count)))
                check_bound("elements", len(elements), MAX_ELEMENTS)
            case ["property", "list", count_type, kind, name, *_] if elements:
                elements[-1].properties.append(_Property(name, _numpy_type(kind), _numpy_type(count_type)))
            case ["property", kind, name, *_] if elements:
                elements[-1].properties.append(_Property(name, _numpy_type(kind)))
    if not order:
        raise MeshFileError(f"its header names no format of {', '.join(_ORDERS)}")
    data = end + len(b"end_header")
    data = content.find(newline, data) + len(newline) if newline in content[data:] else len(content)
    return order, elements, [name for words in images for name in words], data


def _count(name: str, count: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", count):
        raise MeshFileError(f"its header has {count[:20]} elements '{name[:20]}': expected a whole number")
    check_bound(f"elements '{name[:20]}'", int(count), MAX_FACES if name == "face" else 3 * MAX_FACES)
    return int(count)


def _numpy_type(name: str) -> str:
    if name not in _TYPES:
        raise MeshFileError(f"its header has the type '{name[:20]}': expected one of {', '.join(_TYPES)}")
    return _TYPES[name]


def _fill_from_text(elements: list[_Element], body: bytes) -> None:
    text = decode_text(body)
    numbers = _numbers(text)
    try:
        fits = _fill_from_numbers(elements, numbers) == len(numbers)
    except MeshFileError:
        fits = False
    if not fits:
        _fill_from_numbers(elements, _rows_as_stated(elements, text))


def _numbers(text: str) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, sep=" ")
        except (DeprecationWarning, ValueError) as problem:
            raise MeshFileError("it has data that are not numbers") from problem


def _rows_as_stated(elements: list[_Element], text: str) -> Floats:
    """The numbers that the header tells of: of a row, which is a line, some writers write more."""
    lines = (line for line in text.split("\n") if line.strip())
    kept = [np.zeros(0)]
    for element in elements:
        for _ in range(element.count):
            row, width = _numbers(next(lines, "")), 0
            for item in element.properties:
                width += 1 + (_length(row, width) if item.count_type else 0)
            if width > len(row):
                raise MeshFileError(f"it is cut short in its elements '{element.name[:20]}'")
            kept.append(row[:width])
    return np.concatenate(kept)


def _fill_from_numbers(elements: list[_Element], numbers: Floats) -> int:
    """Fill the columns, and return how many numbers that took."""
    place = 0
    for element in elements:
        width, layout = 0, []
        for item in element.properties:
            layout.append((item, width))
            width += 1 + (_length(numbers, place + width) if item.count_type and element.count else 0)
        table = numbers[place : place + element.count * width]
        regular = len(table) == element.count * width
        if regular:
            table = table.reshape(element.count, width)
            lists = [column for item, column in layout if item.count_type]
            regular = all((table[:, column] == table[:1, column]).all() for column in lists)
        if regular and layout:
            stops = [column for _, column in layout[1:]] + [width]
            for (item, column), stop in zip(layout, stops, strict=True):
                element.columns[item.name] = (
                    _rectangle(table[:, column + 1 : stop]) if item.count_type else table[:, column]
                )
            place += table.size
        else:
            place = _fill_by_rows(element, _Numbers(numbers, place))
    return place


class _Numbers:
    """Reads values one after another from the numbers of a text file, from `place` on."""

    def __init__(self, numbers: Floats, place: int) -> None:
        self.numbers, self.place = numbers, place

    def read(self, _: str, count: int) -> Floats:
        if self.place + count > len(self.numbers):
            raise MeshFileError("it is cut short")
        self.place += count
        return self.numbers[self.place - count : self.place]


class _Bytes:
    """Reads values one after another from a binary file, from `place` on."""

    def __init__(self, content: bytes, place: int, order: str) -> None:
        self.content, self.place, self.order = content, place, order

    def read(self, kind: str, count: int) -> Floats:
        values = _unpacked(self.content, self.place, self.order + kind, count)
        self.place += count * np.dtype(kind).itemsize
        return values


def _fill_by_rows(element: _Element, source: _Numbers | _Bytes) -> int:
    """Fill columns from rows whose lists differ in length; returns where the next element begins."""
    check_bound("lists of differing lengths", element.count * len(element.properties), MAX_RAGGED)
    columns: list[list[float]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    for _ in range(element.count):
        for item, values, lengths in zip(element.properties, columns, counts, strict=True):
            length = 1
            if item.count_type:
                length = _length(source.read(item.count_type, 1), 0)
                lengths.append(length)
            values.extend(source.read(item.type, length).tolist())
    _set_columns(element, columns, counts)
    return source.place


def _length(numbers: Floats, place: int) -> int:
    if place >= len(numbers):
        raise MeshFileError("it is cut short")
    if not 0 <= numbers[place] <= MAX_LIST:
        raise MeshFileError(f"it has a list of {numbers[place]:g} items: expected at most {MAX_LIST:,}")
    return int(numbers[place])


def _rectangle(table: NDArray[np.generic]) -> _Lists:
    return _Lists(np.full(len(table), table.shape[1], np.int64), table.astype(np.float64).reshape(-1))


def _set_columns(element: _Element, columns: list[list[float]], counts: list[list[int]]) -> None:
    for item, values, lengths in zip(element.properties, columns, counts, strict=True):
        column = np.array(values, np.float64)
        element.columns[item.name] = (
            _Lists(np.array(lengths, np.int64), column) if item.count_type else column
        )


def _fill_from_binary(elements: list[_Element], content: bytes, place: int, order: str) -> None:
    for element in elements:
        if not (element.count and element.properties):
            _set_columns(element, [[] for _ in element.properties], [[] for _ in element.properties])
            continue
        kind = _row_type(element, content, place, order)
        rows = None
        if place + element.count * kind.itemsize <= len(content):
            rows = np.frombuffer(content, kind, element.count, place)
        lists = [f"{i}#" for i, item in enumerate(element.properties) if item.count_type]
        if rows is not None and all((rows[name] == rows[name][0]).all() for name in lists):
            for i, item in enumerate(element.properties):
                column = rows[str(i)]
                element.columns[item.name] = (
                    _rectangle(column.reshape(element.count, -1))
                    if item.count_type
                    else column.astype(np.float64)
                )
            place += element.count * kind.itemsize
        else:
            place = _fill_by_rows(element, _Bytes(content, place, order))


def _row_type(element: _Element, content: bytes, place: int, order: str) -> np.dtype[np.void]:
    """The type of a row if all rows are as the first."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    for i, item in enumerate(element.properties):
        if item.count_type:
            before = np.dtype(fields).itemsize if fields else 0
            fields.append((f"{i}#", order + item.count_type))
            length = _length(_unpacked(content, place + before, order + item.count_type, 1), 0)
            fields.append((str(i), order + item.type, (length,)))
        else:
            fields.append((str(i), order + item.type))
    return np.dtype(fields)


def _unpacked(content: bytes, place: int, kind: str, count: int) -> Floats:
    if place + count * np.dtype(kind).itemsize > len(content):
        raise MeshFileError("it is cut short")
    return np.frombuffer(content, kind, count, place).astype(np.float64)

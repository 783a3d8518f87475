"""glTF 2.0, as one file (.glb) or several (.gltf), by an allow-list of extensions.

(Khronos, "glTF 2.0 Specification"; sections are named where it matters.) The JSON of a stranger can request
memory or time out of proportion to the file: counts are bounded before anything is read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.part import (
    Floats,
    Ints,
    Material,
    MeshFileError,
    Part,
    Parts,
    TextureImage,
    Wrap,
    check_bound,
    check_faces,
    check_vertices,
    from_linear,
)
from inverse_graphics.packs.texture import PackFolder

MAX_JSON_BYTES = 2**20
MAX_NODES = 1000
MAX_ITEMS = 4_000_000
MAX_TARGETS = 100
MAX_PLACED = 5000

SUPPORTED = frozenset(
    {
        "EXT_mesh_gpu_instancing", "EXT_texture_webp", "KHR_materials_emissive_strength",
        "KHR_materials_pbrSpecularGlossiness", "KHR_materials_unlit", "KHR_mesh_quantization",
        "KHR_texture_transform",
    }
)  # fmt: skip
"""Extensions that are read."""
IGNORED = frozenset(
    {
        "KHR_animation_pointer", "KHR_lights_punctual", "KHR_materials_anisotropy", "KHR_materials_clearcoat",
        "KHR_materials_diffuse_transmission", "KHR_materials_dispersion", "KHR_materials_ior",
        "KHR_materials_iridescence", "KHR_materials_sheen", "KHR_materials_specular",
        "KHR_materials_transmission", "KHR_materials_variants", "KHR_materials_volume", "KHR_xmp_json_ld",
    }
)  # fmt: skip
"""Extensions without which shape and colour are still right: gloss, light sources, animation."""

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_WRAPS: dict[int, Wrap] = {10497: "repeat", 33071: "clamp", 33648: "mirror"}
_NEAREST = 9728

Json = dict[str, Any]


def read_gltf(content: bytes, folder: PackFolder) -> Parts:
    """Read a GLB or a glTF.

    Args:
        content: Of the file.
        folder: Where it lies; buffers and images that it names are found from there.

    Raises:
        MeshFileError: broken, beyond the bounds, or in need of an extension that is not read.
        AssetError: a buffer that is missing or lies outside the pack.
    """
    header, chunk = _split(content)
    document = _Document(header, chunk, folder)
    return Parts(list(document.parts()), document.remarks())


def _split(content: bytes) -> tuple[Json, bytes | None]:
    """The JSON, and the data of a GLB."""
    chunk = None
    if content.startswith(b"glTF"):
        if len(content) < 20:
            raise MeshFileError("it is cut short: expected a GLB file")
        version, _, length, kind = struct.unpack("<4xIII4s", content[:20])
        if version != 2 or kind != b"JSON":
            raise MeshFileError(f"it is a GLB file of glTF {version}: expected 2")
        if len(content) < 20 + length:
            raise MeshFileError("it is cut short: expected a GLB file")
        text, rest = content[20 : 20 + length], content[20 + length :]
        if len(rest) >= 8 and rest[4:8] == b"BIN\0":
            size = int.from_bytes(rest[:4], "little")
            chunk = rest[8 : 8 + size]
    else:
        text = content
    inline = sum(len(match.group()) for match in re.finditer(rb'"data:[^"]*"', text))
    check_bound("bytes of JSON", len(text) - inline, MAX_JSON_BYTES)
    try:
        header = json.loads(text.rstrip(b"\0").decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise MeshFileError("it is not glTF: its JSON cannot be read") from problem
    if not isinstance(header, dict):
        raise MeshFileError("it is not glTF: its JSON is not an object")
    version = str(_entry(header, "asset").get("version", "none"))
    if not version.startswith("2."):
        raise MeshFileError(f"it is glTF of version {version[:20]}: expected 2.0; convert it")
    return header, chunk


def _entry(value: Json, key: str) -> Json:
    """An object of the JSON, empty if it is not there."""
    found = value.get(key, {})
    if not isinstance(found, dict):
        raise MeshFileError(f"its '{key}' is not an object: expected glTF 2.0")
    return found


@dataclass(frozen=True)
class _Shape:
    """Triangles (F, 3) into the rows of the attributes, and their material; uv: (V, 2), v up, or None."""

    triangles: Ints
    attributes: dict[str, Floats]
    material: Material | None
    uv: Floats | None

    def placed(self, transform: Floats) -> Part:
        """The part where a transform (4, 4), or one for each vertex (V, 4, 4), puts it."""
        positions, triangles = self.attributes["POSITION"], self.triangles
        with np.errstate(all="ignore"):
            if transform.ndim == 3:
                placed = np.einsum("vab,vb->va", transform[:, :3, :3], positions) + transform[:, :3, 3]
                mirrored = np.median(np.linalg.det(transform[:, :3, :3])) < 0
            else:
                placed = positions @ transform[:3, :3].T + transform[:3, 3]
                mirrored = np.linalg.det(transform[:3, :3]) < 0
        if mirrored:  # whatever belongs to a corner turns with it
            triangles = triangles[:, ::-1]
        colours = self.attributes.get("COLOR_0")
        return Part(
            placed[triangles],
            None if colours is None else np.clip(np.nan_to_num(colours[:, :3]), 0, 1)[triangles],
            None if self.uv is None else self.uv[triangles],
            self.material,
        )


class _Document:
    """A glTF whose counts are within the bounds."""

    def __init__(self, header: Json, chunk: bytes | None, folder: PackFolder) -> None:
        self._header, self._chunk, self._folder = header, chunk, folder
        self._lists: dict[str, list[Json]] = {}
        self._buffers: dict[int, bytes] = {}
        self._decoded: dict[tuple[int, bool], Floats] = {}
        self._remarks: dict[str, None] = {}
        self._check_extensions()
        check_bound("nodes", len(self._list("nodes")), MAX_NODES)
        check_bound("meshes", len(self._list("meshes")), MAX_NODES)
        parts = sum(len(mesh.get("primitives", [])) for mesh in self._list("meshes"))
        check_bound("mesh parts", parts, MAX_NODES)
        accessors = self._list("accessors")
        check_bound("values", sum(_whole(accessor, "count") for accessor in accessors), MAX_ITEMS)

    def remarks(self) -> tuple[str, ...]:
        """What is not shown as the file says."""
        if self._list("animations"):
            self._remarks["its animations are not played: it is drawn at rest"] = None
        return tuple(self._remarks)

    def _check_extensions(self) -> None:
        needed = self._header.get("extensionsRequired", [])
        known = SUPPORTED | IGNORED | set(_IMAGE_FORMATS)
        unknown = sorted(str(name)[:60] for name in needed if name not in known)
        if unknown:
            raise MeshFileError(
                f"it needs the glTF extension {', '.join(unknown)[:150]}: export it without compression and "
                "without that extension"
            )

    def _list(self, key: str) -> list[Json]:
        if key not in self._lists:
            values = self._header.get(key, [])
            if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
                raise MeshFileError(f"its '{key}' is not a list of objects: expected glTF 2.0")
            self._lists[key] = values
        return self._lists[key]

    def _item(self, key: str, index: object) -> Json:
        values = self._list(key)
        if not isinstance(index, int) or not 0 <= index < len(values):
            raise MeshFileError(f"it names {key}[{str(index)[:20]}]: it has {len(values)} of them")
        return values[index]

    def parts(self) -> Iterator[Part]:
        """The triangles of the scene, where it has them."""
        shapes: dict[str, list[_Shape]] = {}
        faces = count = 0
        for index, place in self._places().items():
            node = self._item("nodes", index)
            if "mesh" not in node:
                continue
            mesh = self._item("meshes", node["mesh"])
            weights: list[float] = node.get("weights") or mesh.get("weights") or []
            key = f"{node['mesh']} {weights}"
            if key not in shapes:
                shapes[key] = [
                    shape for part in mesh.get("primitives", []) for shape in self._shapes(part, weights)
                ]
            for shape in shapes[key]:
                for transform in self._transforms(node, place, shape):
                    faces, count = faces + len(shape.triangles), count + 1
                    check_faces(faces)
                    check_bound("mesh parts in its nodes", count, MAX_PLACED)
                    yield shape.placed(transform)

    def _places(self) -> dict[int, Floats]:
        """The nodes of the scene, each once, with their transforms (4, 4) to the scene."""
        scenes, nodes = self._list("scenes"), self._list("nodes")
        if scenes:
            roots = self._item("scenes", self._header.get("scene", 0)).get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
        places: dict[int, Floats] = {}
        waiting = [(root, np.eye(4)) for root in reversed(roots)]
        while waiting:
            index, parent = waiting.pop()
            node = self._item("nodes", index)
            if index not in places:
                with np.errstate(all="ignore"):
                    places[index] = parent @ _transform(node)
                waiting += [(child, places[index]) for child in reversed(node.get("children", []))]
        return places

    def _shapes(self, primitive: Json, weights: list[float]) -> Iterator[_Shape]:
        """The triangles of a part of a mesh, with the vertices that they use; none of points and lines."""
        mode, named = primitive.get("mode", 4), _entry(primitive, "attributes")
        if mode in (0, 1, 2, 3):
            self._remarks["its points and lines are left out"] = None
        if mode not in (4, 5, 6) or "POSITION" not in named:
            return
        for name in _entry(primitive, "extensions"):
            if "draco" in name or "compress" in name:
                raise MeshFileError(
                    f"it has parts in the glTF extension {name[:60]}: export it without compression"
                )
        attributes = {
            name: self._attribute(name, index)
            for name, index in named.items()
            if re.fullmatch(r"POSITION|COLOR_0|(TEXCOORD|JOINTS|WEIGHTS)_[0-9]", name)
        }
        if "indices" in primitive:
            indices = self._accessor(primitive["indices"])[:, 0].astype(np.int64)
        else:
            indices = np.arange(len(attributes["POSITION"]))
        triangles = _as_triangles(indices, mode)
        check_faces(len(triangles))
        check_vertices(triangles, min(map(len, attributes.values())))
        if not len(triangles) or self._is_hidden(primitive):
            return
        used, triangles = np.unique(triangles, return_inverse=True)
        attributes = {name: rows[used] for name, rows in attributes.items()}
        for target, weight in zip(primitive.get("targets", []), weights[:MAX_TARGETS], strict=False):
            if weight and "POSITION" in target:
                moved = self._attribute("POSITION", target["POSITION"])
                check_vertices(used, len(moved))
                attributes["POSITION"] = attributes["POSITION"] + float(weight) * moved[used]
        material, uv = self._material(primitive, attributes)
        yield _Shape(triangles.reshape(-1, 3), attributes, material, uv)

    def _attribute(self, name: str, index: object) -> Floats:
        values = self._accessor(index, as_colour=name == "COLOR_0")
        expected = {"POSITION": (3,), "COLOR_0": (3, 4), "JOINTS": (4,), "WEIGHTS": (4,), "TEXCOORD": (2,)}
        widths = expected.get(name) or expected[name.partition("_")[0]]
        if values.shape[1] not in widths:
            raise MeshFileError(
                f"its attribute {name} has {values.shape[1]} numbers a row: expected {widths[0]}"
            )
        return values

    def _accessor(self, index: object, as_colour: bool = False) -> Floats:
        """The rows of an accessor (count, width), integers scaled if they say so (3.6)."""
        accessor = self._item("accessors", index)
        assert isinstance(index, int)
        if (index, as_colour) not in self._decoded:
            self._decoded[index, as_colour] = self._decode(accessor, index, as_colour)
        return self._decoded[index, as_colour]

    def _decode(self, accessor: Json, index: int, as_colour: bool) -> Floats:
        """Colours are image values."""
        count, width = _whole(accessor, "count"), _WIDTHS.get(accessor.get("type", ""), 0)
        kind = _TYPES.get(accessor.get("componentType", 0))
        if not width or kind is None:
            raise MeshFileError(f"its accessor {index} is of no type that glTF 2.0 has")
        if "bufferView" in accessor:
            rows = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), count, width, kind)
        else:
            rows = np.zeros((count, width), kind)
        if "sparse" in accessor:
            rows = self._with_sparse(rows, accessor["sparse"])
        values = rows.astype(np.float64)
        if kind[1] in "iu" and (accessor.get("normalized") or as_colour):
            values = np.maximum(values / np.iinfo(kind).max, -1.0)
        if as_colour and kind != "<u1":
            # the standard's linear light; in eight bits it would show bands, and what writes eight bits, as
            # trimesh does, writes image values
            values[:, :3] = from_linear(np.nan_to_num(values[:, :3]))
        return values

    def _with_sparse(self, rows: NDArray[Any], sparse: Json) -> NDArray[Any]:
        count = _whole(sparse, "count")
        check_bound("values", count, MAX_ITEMS)
        where, what = _entry(sparse, "indices"), _entry(sparse, "values")
        kind = _TYPES.get(where.get("componentType", 0), "")
        if kind not in ("<u1", "<u2", "<u4"):
            raise MeshFileError("a sparse accessor has indices of another type than unsigned integers")
        places = self._rows(where.get("bufferView"), where.get("byteOffset", 0), count, 1, kind)[:, 0]
        check_vertices(places.astype(np.int64), len(rows))
        values = self._rows(
            what.get("bufferView"), what.get("byteOffset", 0), count, rows.shape[1], rows.dtype.str
        )
        changed = rows.copy()
        changed[places] = values
        return changed

    def _rows(self, view: object, offset: int, count: int, width: int, kind: str) -> NDArray[Any]:
        data, stride = self._view(view)
        size = np.dtype(kind).itemsize
        stride = stride or width * size
        end = offset + (stride * (count - 1) + width * size if count else 0)
        if (
            not isinstance(offset, int)
            or offset < 0
            or not isinstance(stride, int)
            or stride < 0
            or end > len(data)
        ):
            raise MeshFileError(f"it has data cut short: {end} bytes are named of {len(data)}")
        return np.ndarray((count, width), kind, data, offset, (stride, size)).copy()

    def _view(self, index: object) -> tuple[memoryview, int]:
        """The bytes of a view, and the distance of its rows or 0."""
        view = self._item("bufferViews", index)
        start, length = view.get("byteOffset", 0), _whole(view, "byteLength")
        buffer = self._buffer(view.get("buffer"))
        if not isinstance(start, int) or start < 0 or start + length > len(buffer):
            raise MeshFileError(f"it is cut short: it names {length:,} bytes of a buffer of {len(buffer):,}")
        return memoryview(buffer)[start : start + length], view.get("byteStride", 0)

    def _buffer(self, index: object) -> bytes:
        buffer = self._item("buffers", index)
        assert isinstance(index, int)
        if index not in self._buffers:
            uri = buffer.get("uri")
            content = self._chunk if uri is None else self._read_uri(str(uri))
            length = _whole(buffer, "byteLength")
            if content is None and buffer.get("extensions"):
                names = ", ".join(buffer["extensions"])[:60]
                raise MeshFileError(
                    f"it has data in the glTF extension {names}: export it without compression"
                )
            if content is None or len(content) < length:
                raise MeshFileError(f"its buffer {index} is cut short: expected {length:,} bytes")
            self._buffers[index] = content
        return self._buffers[index]

    def _read_uri(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition("base64,")[2] + "==")
            except binascii.Error as problem:
                raise MeshFileError("it has inline data that are not base64") from problem
        return self._folder.read(uri if self._folder.exists(uri) else unquote(uri))

    def _transforms(self, node: Json, place: Floats, shape: _Shape) -> Iterator[Floats]:
        """For every copy of a node's mesh its transform (4, 4), or (V, 4, 4) of a skin."""
        instancing = _entry(_entry(node, "extensions"), "EXT_mesh_gpu_instancing")
        if "skin" in node and "JOINTS_0" in shape.attributes:
            yield self._skinned(self._item("skins", node["skin"]), shape.attributes)
        elif instancing:
            columns = {name: self._accessor(index) for name, index in instancing["attributes"].items()}
            for i in range(min(map(len, columns.values()), default=1)):
                yield place @ _transform({name.lower(): rows[i].tolist() for name, rows in columns.items()})
        else:
            yield place

    def _skinned(self, skin: Json, attributes: dict[str, Floats]) -> Floats:
        """(V, 4, 4): the joints' places at rest, weighted; the place of the mesh's node does not count."""
        places = self._places()
        joints = [places.get(joint, np.eye(4)) for joint in skin.get("joints", [])]
        check_bound("joints", len(joints), MAX_NODES)
        matrices = np.array(joints).reshape(-1, 4, 4)
        if "inverseBindMatrices" in skin:
            inverse = self._accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            if len(inverse) < len(matrices):
                raise MeshFileError(f"its skin has {len(inverse)} matrices for {len(matrices)} joints")
            matrices = matrices @ inverse[: len(matrices)]
        blended = np.zeros((len(attributes["POSITION"]), 4, 4))
        for suffix in "0123456789":
            if f"JOINTS_{suffix}" in attributes and f"WEIGHTS_{suffix}" in attributes:
                chosen = attributes[f"JOINTS_{suffix}"].astype(np.int64)
                check_vertices(chosen, len(matrices))
                blended += np.einsum("vj,vjab->vab", attributes[f"WEIGHTS_{suffix}"], matrices[chosen])
        return blended / np.maximum(blended[:, 3:, 3:], 1e-9)

    def _material(
        self, primitive: Json, attributes: dict[str, Floats]
    ) -> tuple[Material | None, Floats | None]:
        """The material of a part, and the texture coordinates (V, 2) of its image, v pointing up."""
        if "material" not in primitive:
            white = Material() if "COLOR_0" in attributes else None
            return white, self._uv({}, attributes)
        material = self._item("materials", primitive["material"])
        extensions = _entry(material, "extensions")
        glossy = _entry(extensions, "KHR_materials_pbrSpecularGlossiness")
        surface = glossy or _entry(material, "pbrMetallicRoughness")
        factor = surface.get("diffuseFactor" if glossy else "baseColorFactor", [1, 1, 1, 1])
        texture = _entry(surface, "diffuseTexture" if glossy else "baseColorTexture")
        strength = _entry(extensions, "KHR_materials_emissive_strength").get("emissiveStrength", 1.0)
        emission = np.array(_numbers(material.get("emissiveFactor", [0, 0, 0]), 3)) * float(strength)
        emissive_texture = _entry(material, "emissiveTexture") if emission.any() else {}
        if "KHR_materials_unlit" in extensions:
            self._remarks["it is unlit by its file: it is drawn in the scene's light all the same"] = None
        if "KHR_materials_transmission" in extensions:
            self._remarks["it is see-through by its file: it is drawn opaque"] = None
        base, sampler = self._texture_image(texture)
        emitted, emissive_sampler = self._texture_image(emissive_texture)
        uv = self._uv(texture or emissive_texture, attributes)
        if base and emitted and _mapping(texture) != _mapping(emissive_texture):
            self._remarks["its emissive image lies otherwise than its colours: it is left out"] = None
            emitted, emission = None, np.zeros(3)
        sampler = sampler if base else emissive_sampler
        return (
            Material(
                colour=_image_values(np.array(_numbers(factor, 3))),
                image=base,
                emission=_image_values(emission),
                emission_image=emitted,
                wrap=(
                    _WRAPS.get(sampler.get("wrapS", 10497), "repeat"),
                    _WRAPS.get(sampler.get("wrapT", 10497), "repeat"),
                ),
                nearest=sampler.get("magFilter") == _NEAREST,
                alpha_cut=self._alpha_cut(material, factor, base is not None),
            ),
            uv,
        )

    def _is_hidden(self, primitive: Json) -> bool:
        """Whether a part has no colour but that of its material, and that is wholly transparent."""
        material = self._item("materials", primitive["material"]) if "material" in primitive else {}
        surface = _entry(material, "pbrMetallicRoughness")
        factor, mode = surface.get("baseColorFactor", [1, 1, 1, 1]), material.get("alphaMode", "OPAQUE")
        if mode == "OPAQUE" or "baseColorTexture" in surface or len(factor) < 4:
            return False
        hidden = factor[3] <= 0 if mode == "BLEND" else factor[3] < material.get("alphaCutoff", 0.5)
        if hidden:
            self._remarks["parts that are wholly transparent are left out"] = None
        return bool(hidden)

    def _alpha_cut(self, material: Json, factor: list[float], has_image: bool) -> float | None:
        """Below which alpha of its image, if it has one, a part is not there."""
        mode = material.get("alphaMode", "OPAQUE")
        alpha = max(float(factor[3]) if len(factor) > 3 else 1.0, 1e-6)
        if mode == "MASK":
            return float(material.get("alphaCutoff", 0.5)) / alpha
        if mode == "BLEND" and (has_image or alpha < 1):
            self._remarks["it is partly transparent: what is not wholly transparent is drawn opaque"] = None
            return 1 / 255
        return None

    def _uv(self, texture: Json, attributes: dict[str, Floats]) -> Floats | None:
        """Texture coordinates (V, 2), v pointing up, of the set and with the change that a texture names."""
        number, offset, rotation, scale = _mapping(texture)
        values = attributes.get(f"TEXCOORD_{number}")
        if values is None:
            return None
        if (offset, rotation, scale) != ((0.0, 0.0), 0.0, (1.0, 1.0)):
            u, v = (values * scale).T
            cosine, sine = np.cos(rotation), np.sin(rotation)
            values = np.stack([cosine * u + sine * v, cosine * v - sine * u], axis=-1) + offset
        return np.stack([values[:, 0], 1.0 - values[:, 1]], axis=-1)

    def _texture_image(self, texture: Json) -> tuple[TextureImage | None, Json]:
        """The image of a texture, and its sampler."""
        if not texture:
            return None, {}
        entry = self._item("textures", texture.get("index"))
        sampler = self._item("samplers", entry["sampler"]) if "sampler" in entry else {}
        source, extensions = entry.get("source"), _entry(entry, "extensions")
        if source is None and "EXT_texture_webp" in extensions:
            source = extensions["EXT_texture_webp"].get("source")
        if source is None:
            return TextureImage("its image", partial(_refuse_image, tuple(extensions))), sampler
        image = self._item("images", source)
        if "bufferView" in image:
            view = image["bufferView"]
            return TextureImage(f"its image {source}", lambda: bytes(self._view(view)[0])), sampler
        uri = str(image.get("uri", ""))
        name = f"its image {source}" if uri.startswith("data:") else f"texture '{uri[:80]}'"
        return TextureImage(name, lambda: self._read_uri(uri)), sampler


def _refuse_image(extensions: Sequence[str]) -> bytes:
    """Refuse an image when it is needed."""
    names = ", ".join(extensions)[:60] or "no extension"
    what = " and ".join(_IMAGE_FORMATS[name] for name in extensions if name in _IMAGE_FORMATS)
    raise MeshFileError(f"its image is in {what or 'no file'} ({names}): export it as PNG or JPEG")


_IMAGE_FORMATS = {
    "KHR_texture_basisu": "KTX2", "EXT_texture_avif": "AVIF", "MSFT_texture_dds": "DDS",
}  # fmt: skip
"""Extensions for images of kinds that are not read; needed only where an image gives the colour."""


def _mapping(texture: Json) -> tuple[int, tuple[float, float], float, tuple[float, float]]:
    """The number of a texture's coordinates; their offset, rotation in radians and scale."""
    change = _entry(_entry(texture, "extensions"), "KHR_texture_transform")
    offset, scale = _numbers(change.get("offset", [0, 0]), 2), _numbers(change.get("scale", [1, 1]), 2)
    number: Any = change.get("texCoord", texture.get("texCoord", 0))
    return int(number), (offset[0], offset[1]), float(change.get("rotation", 0.0)), (scale[0], scale[1])


def _as_triangles(indices: Ints, mode: int) -> Ints:
    """Triangles (F, 3) of a list, strip (5) or fan (6) (3.7.2.1)."""
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if len(indices) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == 6:
        return np.stack([indices[1:-1], indices[2:], np.full(len(indices) - 2, indices[0])], axis=-1)
    rows = np.lib.stride_tricks.sliding_window_view(indices, 3)
    odd = np.arange(len(rows))[:, None] % 2 == 1
    return np.where(odd, rows[:, [0, 2, 1]], rows)


def _transform(node: Json) -> Floats:
    """The matrix (4, 4) of a node, whichever way it is written."""
    if "matrix" in node:
        return np.array(_numbers(node["matrix"], 16)).reshape(4, 4).T
    x, y, z, w = _numbers(node.get("rotation", [0, 0, 0, 1]), 4)
    length = max(float(np.sqrt(x * x + y * y + z * z + w * w)), 1e-12)
    x, y, z, w = x / length, y / length, z / length, w / length
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= _numbers(node.get("scale", [1, 1, 1]), 3)
    matrix[:3, 3] = _numbers(node.get("translation", [0, 0, 0]), 3)
    return matrix


def _numbers(values: object, count: int) -> list[float]:
    """The first `count` numbers of a list."""
    if not isinstance(values, list) or len(values) < count:
        raise MeshFileError(f"it has {str(values)[:60]} where glTF expects {count} numbers")
    if not all(isinstance(value, int | float) for value in values[:count]):
        raise MeshFileError(f"it has {str(values)[:60]} where glTF expects numbers")
    return [float(value) for value in values[:count]]


def _image_values(light: Floats) -> tuple[float, float, float]:
    red, green, blue = from_linear(light).tolist()
    return red, green, blue


def _whole(entry: Json, key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or value < 0:
        raise MeshFileError(f"it has a {key} of {str(value)[:40]}: expected a whole number")
    return value

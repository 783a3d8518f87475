"""Meshes as binary glTF 2.0 files, which the reader of packs gives back as they were.

Metres, Y up, as the standard requires; colours of vertices in linear light, the texture as PNG.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.part import to_linear

_FLOAT, _UNSIGNED_INT = 5126, 5125
_VERTICES, _INDICES = 34962, 34963


def glb_bytes(mesh: Mesh, name: str) -> bytes:
    """Encode a mesh.

    Args:
        mesh: Metres, Z up.
        name: Of the object, within the file.

    Returns:
        The content of a .glb file.
    """
    arrays = {"POSITION": mesh.vertices[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32)}
    if mesh.texture is not None and mesh.uv is not None:
        arrays["TEXCOORD_0"] = mesh.uv * np.array([1, -1], np.float32) + np.array([0, 1], np.float32)
    if not (mesh.colours == 1).all():
        arrays["COLOR_0"] = to_linear(mesh.colours.astype(np.float64)).astype(np.float32)
    binary = _Binary()
    attributes = {key: binary.add_array(value, _VERTICES) for key, value in arrays.items()}
    indices = binary.add_array(mesh.faces.reshape(-1).astype(np.uint32), _INDICES)
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "inverse-graphics"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": surface}],
    }
    if mesh.texture is not None:
        surface["baseColorTexture"] = {"index": 0}
        view = binary.add_bytes(_png(mesh.texture))
        document |= {
            "textures": [{"source": 0, "sampler": 0}],
            "samplers": [{"magFilter": 9729, "minFilter": 9987}],
            "images": [{"bufferView": view, "mimeType": "image/png"}],
        }
    document |= {
        "accessors": binary.accessors,
        "bufferViews": binary.views,
        "buffers": [{"byteLength": len(binary.content)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    chunks = _chunk(b"JSON", text, b" ") + _chunk(b"BIN\0", bytes(binary.content), b"\0")
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks


class _Binary:
    """The buffer of a file, and what of it is what."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []

    def add_bytes(self, content: bytes) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.content), "byteLength": len(content)})
        self.content += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def add_array(self, array: NDArray[Any], target: int) -> int:
        real = array.dtype.kind == "f"
        view = self.add_bytes(array.astype("<f4" if real else "<u4").tobytes())
        self.views[view]["target"] = target
        accessor = {
            "bufferView": view,
            "componentType": _FLOAT if real else _UNSIGNED_INT,
            "count": len(array),
            "type": f"VEC{array.shape[1]}" if array.ndim > 1 else "SCALAR",
        }
        if target == _VERTICES and len(self.accessors) == 0:  # positions have bounds
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _png(texture: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.rint(texture.clip(0, 1) * 255).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def _chunk(kind: bytes, content: bytes, padding: bytes) -> bytes:
    content += padding * (-len(content) % 4)
    return len(content).to_bytes(4, "little") + kind + content

"""Mesh files written by hand, and what is seen of them, for the tests of all formats."""

import io
import json
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from PIL import Image

from inverse_graphics.packs.pack import Pack, load_pack
from inverse_graphics.rendering.rendered_scene import render
from inverse_graphics.scene.scene import Scene

SQUARE = [[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]]
"""20 cm, in the plane of x and y, facing +z."""
LEFT = [[x * 0.5 - 0.055, y, z] for x, y, z in SQUARE]
RIGHT = [[x * 0.5 + 0.055, y, z] for x, y, z in SQUARE]
UV = [[0, 0], [1, 0], [1, 1], [0, 1]]
"""v pointing up; of glTF it points down."""
GLTF_UV = [[u, 1 - v] for u, v in UV]
TRIANGLES = [[0, 1, 2], [0, 2, 3]]

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (178.5, 178.5, 178.5)
"""Grey is that of whatever has no colour."""
NOTHING = (0, 0, 0)
"""The background."""
QUADRANTS = {
    (-1, 1): (230, 30, 30), (1, 1): (30, 200, 40), (-1, -1): (40, 60, 220), (1, -1): (240, 220, 30),
}  # fmt: skip
"""The colours of a picture by the signs of x and of y (up)."""


def quadrants(side=64):
    half = side // 2
    pixels = np.zeros((side, side, 3), np.uint8)
    for (x, y), colour in QUADRANTS.items():
        pixels[
            slice(None, half) if y > 0 else slice(half, None), slice(half, None) if x > 0 else slice(half)
        ] = colour
    return pixels


def quarters(centre=(0.0, 0.0), width=0.2, height=0.2):
    """Points in the four quarters of a rectangle that shows the picture, each with its colour."""
    return [
        ((centre[0] + x * width / 4, centre[1] + y * height / 4), colour)
        for (x, y), colour in QUADRANTS.items()
    ]


def encoded(pixels, kind="PNG", **options):
    """The file of an image: an array of bytes, or a Pillow image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PICTURE = encoded(quadrants())


def pack_of(folder: Path, files: dict[str, str | bytes], mesh: str, **entry) -> Pack:
    """A pack of one object "own/thing"; files are written into it, texts as UTF-8."""
    spec = {"mesh": mesh, "unit": "m", "up_axis": "z", **entry}
    manifest = {"name": "own", "version": "1", "licence": "MIT", "objects": {"thing": spec}}
    for name, content in {"pack.yaml": yaml.safe_dump(manifest), **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_pack(folder)


SIDE, FOCAL = 64, 200.0


def drawn(pack: Pack, diffuse=False, **placement) -> np.ndarray:
    """The object from above, in light of which its colour itself is seen, or in a lamp at the camera.

    Returns:
        (SIDE, SIDE, 3), 0 to 255.
    """
    light = {"ambient": [1.0 - diffuse] * 3, "diffuse": [float(diffuse)] * 3, "direction": [0, 0, 1]}
    scene = {
        "camera": {
            "width_px": SIDE, "height_px": SIDE, "K": [[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]],
            "T_world_camera": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.0], [0, 0, 0, 1]],
        },
        "light": light,
        "background": {"colour": [0, 0, 0]},
        "objects": [{"asset": "own/thing", **placement}],
    }  # fmt: skip
    return render(Scene.model_validate(scene), packs=[pack]).image * 255


def check_seen(pack: Pack, points, tolerance=4.0, **how) -> None:
    """Compare the pixels at points (x, y) of the plane z = 0 with the colours expected there."""
    image = drawn(pack, **how)
    places = [(int(FOCAL * x + SIDE / 2), int(SIDE / 2 - FOCAL * y)) for (x, y), _ in points]
    got = np.array([image[row, column] for column, row in places])
    np.testing.assert_allclose(got, np.array([colour for _, colour in points], float), atol=tolerance)


EVERYWHERE = [(x, y) for x in (-0.08, 0.08) for y in (-0.08, 0.08)]
"""Near the corners of the square."""


def all_in(colour):
    return [(point, colour) for point in EVERYWHERE]


def glb(header, data=b"", padding=b" "):
    text = json.dumps(header).encode()
    text += padding * (4 - len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if data:
        chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


class Buffer:
    """Puts arrays and files behind each other, and keeps glTF's lists of views and accessors."""

    KINDS: ClassVar = {"f4": 5126, "u4": 5125, "u2": 5123, "u1": 5121, "i2": 5122, "i1": 5120}
    TYPES: ClassVar = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

    def __init__(self):
        self.data, self.views, self.accessors = b"", [], []

    def view(self, content, **more):
        self.data += b"\0" * (-len(self.data) % 4)
        start = len(self.data)
        self.views.append({"buffer": 0, "byteOffset": start, "byteLength": len(content), **more})
        self.data += content
        return len(self.views) - 1

    def add(self, values, kind="f4", **more):
        """Rows begin at multiples of four bytes, as those of vertices must."""
        rows = np.asarray(values, "<" + kind)
        rows = rows.reshape(len(rows), -1)
        size = rows.dtype.itemsize * rows.shape[1]
        stride = -(-size // 4) * 4 if rows.shape[1] > 1 else size
        content = b"".join(row.tobytes().ljust(stride, b"\0") for row in rows)
        view = self.view(content, **({} if stride == size else {"byteStride": stride}))
        accessor = {"bufferView": view, "componentType": self.KINDS[kind], "count": len(rows)}
        self.accessors.append({**accessor, "type": self.TYPES[rows.shape[1]], **more})
        return len(self.accessors) - 1

    def picture(self, content=PICTURE):
        """The list of images of which this is the only one."""
        return [{"bufferView": self.view(content), "mimeType": "image/png"}]

    def header(self, **more):
        size = len(self.data) + -len(self.data) % 4
        head = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": size}]}
        lists = {"bufferViews": self.views, "accessors": self.accessors}
        return {**head, **lists, "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "scene": 0, **more}

    def glb(self, **more):
        return glb(self.header(**more), self.data)

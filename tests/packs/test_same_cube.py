"""One cube, written in every format and in many ways, is one and the same mesh, and gives the same pixels."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_files import Buffer, drawn, encoded, pack_of

HALF = 0.07
CORNERS = np.array([[x, y, z] for z in (-HALF, HALF) for y in (-HALF, HALF) for x in (-HALF, HALF)])
SIDES = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
"""Seen from outside, counter-clockwise."""
PIXELS = np.random.default_rng(3).integers(0, 256, (24, 32, 3)).astype(np.uint8)
UV = np.array([[0, 0], [1 / 3, 0], [1 / 3, 1 / 2], [0, 1 / 2]])
SIDES_UV = np.array([UV + np.array([i % 3 / 3, i // 3 / 2]) for i in range(6)])
"""Of each side's corners, a sixth of the picture, v pointing up."""
TILT = {"quaternion_xyzw": [0.2, 0.3, 0.1, 0.9]}


def obj(rng, textured):
    """In a random order, with indices of either sign, and lines that end in any way."""
    order = rng.permutation(8)
    place = np.argsort(order)
    text = "mtllib thing.mtl\n" + "".join("v {} {} {}\n".format(*corner) for corner in CORNERS[order])
    text += "usemtl a\n"
    for side, uv in zip(SIDES, SIDES_UV, strict=True):
        text += "".join(f"vt {u} {v}\n" for u, v in uv)
        shift = rng.integers(4)
        words = [
            f"{place[vertex] + 1 if rng.integers(2) else place[vertex] - 8}/{corner - 4}"
            for corner, vertex in enumerate(side)
        ]
        text += "f\t" + "  ".join(np.roll(words, shift)) + " # side\n"
    library = "newmtl a\n" + ("map_Kd skin.png\n" if textured else "Kd 0.2 0.4 0.8\n")
    ending = str(rng.choice(["\n", "\r\n", "\r"]))
    return {"thing.obj": text.replace("\n", ending), "thing.mtl": library.replace("\n", ending)}, "thing.obj"


def ply(rng, textured):
    encoding = str(rng.choice(["ascii", "binary_little_endian", "binary_big_endian"]))
    mark = ">" if encoding == "binary_big_endian" else "<"
    properties = ["float x", "float y", "float z"] + (
        [] if textured else ["uchar red", "uchar green", "uchar blue"]
    )
    corners = "list uchar float texcoord" if textured else "uchar flags"
    head = f"ply\nformat {encoding} 1.0\ncomment TextureFile skin.png\nelement vertex 8\n"
    head += "".join(f"property {p}\n" for p in properties)
    head += f"element face 6\nproperty list uchar int vertex_indices\nproperty {corners}\nend_header\n"
    colour, body = ([] if textured else [51, 102, 204]), b""
    for corner in CORNERS:
        row = [*corner, *colour]
        body += (
            (" ".join(map(str, row)) + "\n").encode() if encoding == "ascii"
            else struct.pack(f"{mark}3f{len(colour)}B", *row)
        )  # fmt: skip
    for side, uv in zip(SIDES, SIDES_UV, strict=True):
        tail = [8, *uv.ravel()] if textured else [0]
        body += (
            (" ".join(map(str, [4, *side, *tail])) + "\n").encode() if encoding == "ascii"
            else struct.pack(f"{mark}B4iB{len(tail) - 1}f", 4, *side, *tail)
        )  # fmt: skip
    return {"thing.ply": head.encode() + body}, "thing.ply"


def stl(rng, _):
    corners = CORNERS[np.concatenate([SIDES[:, :3], SIDES[:, [0, 2, 3]]])]
    if rng.integers(2):
        faces = b"".join(struct.pack("<12fH", 0, 0, 0, *face.ravel(), 0) for face in corners)
        return {"thing.stl": b"solid".ljust(80) + struct.pack("<I", 12) + faces}, "thing.stl"
    text = "solid a\n"
    for face in corners:
        rows = "".join("vertex {:.9g} {:.9g} {:.9g}\n".format(*corner) for corner in face)
        text += f"facet normal 0 0 0\nouter loop\n{rows}endloop\nendfacet\n"
    return {"thing.stl": text + "endsolid a\n"}, "thing.stl"


def gltf(rng, textured):
    """A list, strip or fan of each side; a node that scales and perhaps mirrors, undone in the data."""
    b, parts = Buffer(), []
    matrix = np.diag([*(rng.choice([-2.0, 0.5, 3.0], 3)), 1.0])
    matrix[:3, 3] = rng.uniform(-1, 1, 3)
    flipped = np.linalg.det(matrix) < 0
    points = (CORNERS - matrix[:3, 3]) / np.diag(matrix)[:3]
    kind, mode = str(rng.choice(["f4", "u2"])), int(rng.choice([4, 5, 6]))
    for side, uv in zip(SIDES, SIDES_UV, strict=True):
        order = {4: [0, 1, 2, 0, 2, 3], 5: [0, 1, 3, 2], 6: [0, 1, 2, 3]}[mode]
        turned = slice(None, None, -1 if flipped else 1)
        coordinates = np.stack([uv[:, 0], 1 - uv[:, 1]], -1)[turned] * (65535 if kind == "u2" else 1)
        named = {"POSITION": b.add(points[side][turned])}
        named["TEXCOORD_1"] = b.add(
            np.round(coordinates) if kind == "u2" else coordinates, kind, normalized=kind == "u2"
        )
        if not textured:
            named["COLOR_0"] = b.add([[51, 102, 204]] * 4, "u1", normalized=True)
        parts.append({"attributes": named, "indices": b.add(order, "u1"), "mode": mode, "material": 0})
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}} if textured else {}}
    header = {
        "meshes": [{"primitives": parts}], "materials": [material], "images": [{"uri": "skin.png"}],
        "textures": [{"source": 0}], "nodes": [{"mesh": 0, "matrix": matrix.T.ravel().tolist()}],
    }  # fmt: skip
    if rng.integers(2):
        return {"thing.glb": b.glb(**header)}, "thing.glb"
    document = b.header(**header)
    document["buffers"][0]["uri"] = "thing.bin"
    return {
        "thing.gltf": json.dumps(document),
        "thing.bin": b.data.ljust(document["buffers"][0]["byteLength"], b"\0"),
    }, "thing.gltf"


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """By whether it is textured: the pixels and the mesh, of an OBJ as plain as can be."""
    found = {}
    for textured in (False, True):
        files, name = obj(np.random.default_rng(0), textured)
        pack = pack_of(tmp_path_factory.mktemp("plain"), {**files, "skin.png": encoded(PIXELS)}, name)
        found[textured] = drawn(pack, diffuse=0.5, **TILT), pack.mesh("thing")
    return found


WRITERS = [(write, textured) for write in (obj, ply, gltf) for textured in (False, True)]


@pytest.mark.parametrize(("write", "textured"), [*WRITERS, (stl, False)])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_cube(tmp_path_factory, expected, write, textured, seed):
    files, name = write(np.random.default_rng(seed), textured)
    entry = {"colour": [0.2, 0.4, 0.8]} if write is stl else {}
    pack = pack_of(tmp_path_factory.mktemp("cube"), {**files, "skin.png": encoded(PIXELS)}, name, **entry)
    image, plain = expected[textured]
    mesh = pack.mesh("thing")
    assert len(mesh.faces) == len(plain.faces) == 12
    np.testing.assert_allclose(mesh.vertices.min(0), -HALF, atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.max(0), HALF, atol=1e-6)
    assert ((mesh.normals * mesh.vertices).sum(-1) > 0).all()
    np.testing.assert_allclose(drawn(pack, diffuse=0.5, **TILT), image, atol=1.5)

"""Packs from strangers: each is refused soon, with one line that names pack, object and file."""

import base64
import json
import os
import struct
import time
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
import trimesh
import yaml
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from inverse_graphics.errors import AssetError
from inverse_graphics.packs import mesh_file, part
from inverse_graphics.packs.pack import load_pack

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PRIMITIVE = {"attributes": {"POSITION": 0}}
BIG = 10**12
VIEW = {"bufferView": 0, "componentType": 5123}
VECTORS = {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}


@pytest.fixture
def pack_folder(tmp_path):
    """A pack's folder with a secret beside it that nothing may read."""
    (tmp_path / "secret.png").write_bytes(make_image(2, 2))
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (tmp_path / "secret.mtl").write_text("newmtl a\nKd 1 0 0\n")
    (tmp_path / "secret.stl").write_bytes(box("stl"))
    folder = tmp_path / "pack"
    folder.mkdir()
    return folder


def box(kind):
    data = trimesh.creation.box().export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def make_image(width, height, kind="PNG"):
    buffer = BytesIO()
    Image.new("RGB", (width, height), (9, 9, 9)).save(buffer, kind)
    return buffer.getvalue()


def huge_image():
    """A PNG of a few bytes that says it has 60,000 × 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def glb(header, data=b""):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if data:
        chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def triangle(data=b"", **changes):
    """A GLB with one triangle, the entries of its header changed and more data at its end."""
    data = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes() + data
    header = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        **changes,
    }
    return glb(header, data)


def with_image(data=b"", bufferViews=None, images=None, **image):
    """A triangle whose colour is an image."""
    views = {} if bufferViews is None else {"bufferViews": bufferViews}
    return triangle(
        data,
        **views,
        images=images or [image],
        textures=[{"source": 0}],
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
    )


def refusal(folder, content, name="thing.glb", **entry):
    """The line with which a pack of one object is refused; it must be one, and come soon."""
    if content is not None:
        (folder / name).write_bytes(content)
    spec = {"mesh": name, "unit": "m", "up_axis": "y", **entry}
    manifest = {"name": "own", "version": "1", "licence": "MIT", "objects": {"thing": spec}}
    (folder / "pack.yaml").write_text(yaml.safe_dump(manifest))
    start = time.process_time()
    with pytest.raises(AssetError) as caught:
        load_pack(folder).meshes()
    assert time.process_time() - start < 5
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


def test_the_triangle_is_fine_when_nothing_is_changed(pack_folder):
    (pack_folder / "thing.glb").write_bytes(triangle())
    manifest = {
        "name": "own", "version": "1", "licence": "MIT",
        "objects": {"thing": {"mesh": "thing.glb", "unit": "m", "up_axis": "y"}},
    }  # fmt: skip
    (pack_folder / "pack.yaml").write_text(yaml.safe_dump(manifest))
    assert load_pack(pack_folder).mesh("thing").faces.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    "name", ["../secret.stl", "a/../../secret.stl", "C:\\secret.stl", "..\\secret.stl", "file:///etc/x.stl"]
)
def test_a_mesh_outside_the_pack(pack_folder, name):
    assert f"pack 'own', object 'thing', {name}: file '{name}' lies outside the pack" in refusal(
        pack_folder, None, name
    )


def test_a_mesh_by_an_absolute_path(pack_folder):
    assert "lies outside the pack" in refusal(pack_folder, None, str(pack_folder.parent / "secret.stl"))
    # even of the pack itself: a pack can be moved
    (pack_folder / "thing.stl").write_bytes(box("stl"))
    assert "lies outside the pack" in refusal(pack_folder, None, str(pack_folder / "thing.stl"))


def test_links_that_lead_out(pack_folder):
    (pack_folder / "file.stl").symlink_to(pack_folder.parent / "secret.stl")
    (pack_folder / "folder").symlink_to(pack_folder.parent)
    (pack_folder / "loop.stl").symlink_to(pack_folder / "loop.stl")
    for name in ("file.stl", "folder/secret.stl"):
        assert "lies outside the pack" in refusal(pack_folder, None, name)
    assert "loop.stl" in refusal(pack_folder, None, "loop.stl")


def test_files_that_are_none(pack_folder):
    assert "file 'thing.glb' does not exist: expected it in the pack's folder" in refusal(pack_folder, None)
    (pack_folder / "folder.glb").mkdir()
    assert "file 'folder.glb' is not a file" in refusal(pack_folder, None, "folder.glb")
    os.mkfifo(pack_folder / "pipe.glb")  # opening it would wait for ever
    assert "file 'pipe.glb' is not a file" in refusal(pack_folder, None, "pipe.glb")


def test_a_file_of_more_than_32_mib(pack_folder):
    with (pack_folder / "thing.glb").open("wb") as file:
        file.truncate(33 * 2**20)
    assert "is larger than 32 MiB" in refusal(pack_folder, None)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"not a mesh\n" * 20, bytes(range(256)) * 8])
def test_noise_instead_of_a_mesh(pack_folder, kind, content):
    line = refusal(pack_folder, content, f"thing.{kind}")
    assert line.startswith(f"pack 'own', object 'thing', thing.{kind}: ")


@pytest.mark.parametrize("kind", ["glb", "ply", "stl"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_mesh_cut_short(pack_folder, kind, part):
    content = box(kind)
    line = refusal(pack_folder, content[: int(part * len(content))], f"thing.{kind}")
    assert "object 'thing'" in line


def test_an_unknown_kind_of_file(pack_folder):
    assert "cannot read '.fbx' meshes: expected one of .glb, .gltf, .obj, .ply, .stl" in refusal(
        pack_folder, b"x", "thing.fbx"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vertices_that_are_not_finite(pack_folder, value):
    mesh = trimesh.creation.box()
    vertices = np.array(mesh.vertices)
    vertices[3, 1] = value
    content = trimesh.Trimesh(vertices, mesh.faces, process=False).export(file_type="ply")
    assert "the mesh has vertices that are NaN or infinite" in refusal(pack_folder, content, "thing.ply")


def test_no_faces(pack_folder):
    coordinates = "".join(f"property float {axis}\n" for axis in "xyz")
    points = f"ply\nformat ascii 1.0\nelement vertex 1\n{coordinates}end_header\n0 0 0\n".encode()
    for content, name in (
        (points, "a.ply"),
        (b"v 0 0 0\nv 1 1 1\n", "a.obj"),
        (b"solid\nendsolid\n", "a.stl"),
    ):
        assert "0 faces" in refusal(pack_folder, content, name)
    assert "0 faces" in refusal(pack_folder, triangle(scenes=[{"nodes": []}]))
    flat = b"v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n"
    assert "0 faces that have an area" in refusal(pack_folder, flat, "a.obj")


def test_a_face_that_names_a_vertex_that_is_not_there(pack_folder):
    assert "thing.obj" in refusal(pack_folder, b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "thing.obj")
    index = np.array([0, 1, 7], "<u4").tobytes()
    data = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
    header = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 48}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 12}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    assert "thing.glb" in refusal(pack_folder, glb(header, data + index))


def test_too_many_faces(pack_folder):
    n = 200_001
    vertices = np.random.default_rng(0).random((100, 3))
    faces = np.random.default_rng(1).integers(0, 100, (n, 3))
    content = trimesh.Trimesh(vertices, faces, process=False).export(file_type="ply")
    assert "200,001 elements 'face': expected at most 200,000" in refusal(pack_folder, content, "thing.ply")
    binary = trimesh.Trimesh(vertices, faces, process=False).export(file_type="stl")
    assert "more than 200,000 faces: simplify it" in refusal(pack_folder, binary, "thing.stl")


CORNERS = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
SOLID = b"solid a\nvertex 1 2 3\nvertex 1 2 3\nvertex 1 3 3\nendsolid\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vertices.obj", b"v 0 0 0\n" * 2_000_000),
        ("faces.obj", CORNERS + b"f 1 2 3\n" * 2_000_000),
        ("materials.obj", CORNERS + b"usemtl a\nf 1 2 3\nusemtl b\nf 1 2 3\n" * 500_000),
        ("corners.obj", CORNERS + b"f" + b" 1 2 3" * 2_000_000),
        ("continued.obj", b"\\\n" * 8_000_000),
        ("libraries.obj", b"mtllib a b c\n" * 2_000_000 + CORNERS + b"f 1 2 3\n"),
        ("names.obj", CORNERS + b"".join(b"usemtl m%d\nf 1 2 3\n" % i for i in range(100_000))),
        ("ends.obj", b"\n" * 32_000_000),
        ("solids.stl", SOLID * 300_000),
        ("unfinished.stl", b"solid\n" * 4_000_000),
        ("corners.stl", b"solid a\n" + b"vertex 1 2 3\n" * 2_000_000 + b"endsolid\n"),
    ],
)
def test_text_that_would_keep_a_loader_busy(pack_folder, name, content):
    refusal(pack_folder, content, name)


def ragged_ply():
    """Rows of very many properties, whose lists have no length in common."""
    properties = "".join(f"property list uchar uchar p{i}\n" for i in range(2000))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex 6000\n{properties}end_header\n"
    return head.encode() + bytes(4_000_000) + b"\1" * 16_000_000


def test_a_ply_of_very_many_short_lists(pack_folder):
    assert "lists of differing lengths" in refusal(pack_folder, ragged_ply(), "thing.ply")


def test_many_parts_that_share_one_large_buffer(pack_folder):
    """Read once, a million vertices are fine; read for each of a thousand parts they would take minutes."""
    data = bytes(12_000_000)
    view = {"buffer": 0, "byteLength": len(data)}
    accessors = [
        {**VECTORS, "count": 1_000_000},
        {"bufferView": 0, "componentType": 5125, "count": 3, "type": "SCALAR"},
    ]
    parts = [{"attributes": {"POSITION": 0, "COLOR_0": 0}, "indices": 1}] * 1000
    line = refusal(
        pack_folder, triangle(data, bufferViews=[view], accessors=accessors, meshes=[{"primitives": parts}])
    )
    assert "0 faces that have an area" in line


def test_a_mesh_copied_very_often(pack_folder):
    data = np.zeros((100_000, 3), "<f4").tobytes()
    views = [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": len(data)}]
    accessors = [VECTORS, {**VECTORS, "bufferView": 1, "count": 100_000}]
    node = {"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 1}}}}
    line = refusal(pack_folder, triangle(data, bufferViews=views, accessors=accessors, nodes=[node]))
    assert "mesh parts in its nodes: expected at most 5,000" in line


def test_a_gltf_of_very_much_json(pack_folder):
    content = json.dumps({"asset": {"version": "2.0"}, "extras": list(range(1_000_000))}).encode()
    assert "bytes of JSON: expected at most" in refusal(pack_folder, content, "thing.gltf")
    content = b'{"asset": {"version": "2.0"}, "extras": ' + b"[" * 500_000
    assert "its JSON cannot be read" in refusal(pack_folder, content, "thing.gltf")


def test_few_triangles_instanced_very_often(pack_folder, monkeypatch):
    nodes = [{"mesh": 0} for _ in range(900)]
    monkeypatch.setattr(part, "MAX_FACES", 899)
    content = triangle(nodes=nodes, scenes=[{"nodes": list(range(900))}])
    assert "more than 899 faces" in refusal(pack_folder, content)


@pytest.mark.parametrize(
    "changes",
    [
        {"accessors": [{"componentType": 5126, "count": BIG, "type": "VEC3"}]},
        {"accessors": [{"bufferView": 0, "componentType": 5126, "count": -3, "type": "VEC3"}]},
        {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 3.5, "type": "VEC3"}]},
        {"bufferViews": [{"buffer": 0, "byteLength": BIG}]},
        {"bufferViews": [{"buffer": 7, "byteLength": 36}]},
        {"nodes": [{"mesh": 0, "children": [i + 1]} for i in range(20_000)] + [{}]},
        {"meshes": [{"primitives": [PRIMITIVE] * 5000}]},
        {"meshes": [{"primitives": [{**PRIMITIVE, "extensions": {"KHR_draco_mesh_compression": {}}}]}]},
        {"meshes": [{"primitives": [{"attributes": {"POSITION": 5}}]}]},
        {"meshes": [{"primitives": [{"attributes": {}}]}]},
        {"meshes": 3},
        {"extensionsRequired": ["KHR_draco_mesh_compression"]},
        {"asset": {"extras": "x" * 2_000_000}},
        {"nodes": [{"mesh": 0, "matrix": [float("nan")] * 16}]},
        {"nodes": [{"mesh": 0, "matrix": [1] * 15}]},
        {"nodes": [{"mesh": 0, "rotation": "x"}]},
        {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 1_000_000, "type": "VEC3"}]},
        {"accessors": [{**VECTORS, "sparse": {"count": BIG, "indices": VIEW, "values": VIEW}}]},
        {"accessors": [{**VECTORS, "sparse": {"count": 2, "indices": VIEW, "values": VIEW}}]},
        {"accessors": [{**VECTORS, "byteOffset": -12}]},
        {"accessors": [{**VECTORS, "byteOffset": 10**9}]},
        {"accessors": [{**VECTORS, "type": "MAT4"}]},
        {"accessors": [{**VECTORS, "componentType": 5130}]},
        {"bufferViews": [{"buffer": 0, "byteLength": 36, "byteStride": 10**9}]},
        {"buffers": [{"byteLength": 10**9}]},
        {"buffers": [{"uri": "data:;base64,AAAA", "byteLength": 36}]},
        {"meshes": [{"primitives": [{**PRIMITIVE, "material": 7}]}]},
        {"scene": 9},
        {"asset": {"version": "1.0"}},
        {"nodes": [{"mesh": 0, "scale": [1e300, 1e300, 1e300]}]},
    ],
)
def test_glb_that_promises_what_it_does_not_hold(pack_folder, changes):
    refusal(pack_folder, triangle(**changes))


@pytest.mark.parametrize(
    ("content", "expected"), [(huge_image(), "its image 0 is too large"), (b"no", "not an image")]
)
def test_images_in_the_data_of_a_glb(pack_folder, content, expected):
    views = [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": len(content)}]
    image = {"bufferView": 1, "mimeType": "image/png"}
    assert expected in refusal(pack_folder, with_image(content, bufferViews=views, images=[image]))
    inline = "data:image/png;base64," + base64.b64encode(content).decode()
    assert expected in refusal(pack_folder, with_image(uri=inline))


def test_a_node_that_is_its_own_child_is_no_endless_walk(pack_folder):
    (pack_folder / "thing.glb").write_bytes(triangle(nodes=[{"children": [0], "mesh": 0}]))
    (only,) = mesh_file.read_mesh_file(pack_folder, "thing.glb").parts
    assert len(only.corners) == 1


def test_views_that_overlap_take_no_memory_of_their_own(pack_folder):
    """The standard allows them; 2,000 of 16 MB would be 32 GB."""
    views = [{"buffer": 0, "byteLength": 16_000_000}] * 2000
    (pack_folder / "thing.glb").write_bytes(triangle(bytes(16_000_000), bufferViews=views))
    tracemalloc.start()
    mesh_file.read_mesh_file(pack_folder, "thing.glb")
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_glb_with_nesting_without_end(pack_folder):
    text = b'{"a":' + b"[" * 500_000
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    refusal(pack_folder, struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


@pytest.mark.parametrize("count", ["1000000000000", "999999999", "-5", "x"])
@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_ply_that_promises_what_it_does_not_hold(pack_folder, count, encoding):
    header = f"ply\nformat {encoding} 1.0\nelement vertex {count}\n" + "".join(
        f"property float {axis}\n" for axis in "xyz"
    )
    header += f"element face {count}\nproperty list uint int vertex_indices\nend_header\n"
    refusal(pack_folder, header.encode() + b"\xff" * 64, "thing.ply")


OUTSIDE = [
    "../secret.png",
    "/etc/hostname",
    "..%2fsecret.png",
    "http://127.0.0.1:9/x.png",
    "file:///etc/hostname",
]


@pytest.mark.parametrize("uri", OUTSIDE)
def test_glb_that_refers_to_images_elsewhere(pack_folder, uri):
    line = refusal(pack_folder, with_image(uri=uri))
    assert "lies outside the pack" in line or "does not exist" in line


@pytest.mark.parametrize("uri", ["../secret.bin", "/dev/zero", "http://127.0.0.1:9/x.bin"])
def test_glb_that_refers_to_data_elsewhere(pack_folder, uri):
    line = refusal(pack_folder, triangle(buffers=[{"uri": uri, "byteLength": 36}]))
    assert "lies outside the pack" in line


@pytest.mark.parametrize("name", ["../secret.mtl", "/etc/hostname", "missing.mtl"])
def test_obj_that_refers_to_materials_elsewhere(pack_folder, name):
    content = f"mtllib {name}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n".encode()
    line = refusal(pack_folder, content, "thing.obj")
    assert "lies outside the pack" in line or "does not exist" in line


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "missing.png", "text.png"])
def test_materials_that_refer_to_images_elsewhere(pack_folder, name):
    (pack_folder / "text.png").write_text("not an image")
    (pack_folder / "own.mtl").write_text(f"newmtl a\nKd 1 1 1\nmap_Kd {name}\n")
    content = b"mtllib own.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl a\nf 1/1 2/1 3/1\n"
    line = refusal(pack_folder, content, "thing.obj")
    assert "lies outside the pack" in line or "does not exist" in line or "not an image" in line


def test_ply_that_refers_to_an_image_elsewhere(pack_folder):
    properties = "".join(f"property float {name}\n" for name in ("x", "y", "z", "s", "t"))
    header = f"ply\nformat ascii 1.0\ncomment TextureFile ../secret.png\nelement vertex 3\n{properties}"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    content = header + "0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n"
    assert "lies outside the pack" in refusal(pack_folder, content.encode(), "thing.ply")


def test_textures(pack_folder):
    mesh = trimesh.creation.box()
    material = PBRMaterial(baseColorTexture=Image.new("RGB", (2, 2)))
    mesh.visual = TextureVisuals(uv=np.zeros((8, 2)), material=material)
    good = mesh.export(file_type="glb")
    for content, expected in (
        (huge_image(), "texture 'skin.png' is too large: expected at most 4096 pixels a side"),
        (make_image(4097, 1), "texture 'skin.png' has 4097×1 pixels: expected at most 4096"),
        (make_image(300, 300)[:150], "texture 'skin.png' is damaged or cut off"),
        (b"", "texture 'skin.png' is not an image"),
        (b"GIF89a nonsense", "not an image"),
        (make_image(4, 4, "EPS"), "not an image"),  # a program, for which Pillow starts another
    ):
        (pack_folder / "skin.png").write_bytes(content)
        assert expected in refusal(pack_folder, good, texture="skin.png")
    assert "lies outside the pack" in refusal(pack_folder, good, texture="../secret.png")
    assert "does not exist" in refusal(pack_folder, good, texture="none.png")


def test_images_inside_a_glb_are_bounded_too(pack_folder):
    (pack_folder / "huge.png").write_bytes(huge_image())
    (pack_folder / "cut.png").write_bytes(make_image(300, 300)[:150])
    (pack_folder / "large.png").write_bytes(make_image(4097, 1))
    (pack_folder / "program.png").write_bytes(make_image(4, 4, "EPS"))
    assert "not an image" in refusal(pack_folder, with_image(uri="program.png"))
    assert "texture 'huge.png' is too large" in refusal(pack_folder, with_image(uri="huge.png"))
    assert "texture 'large.png' has 4097×1 pixels" in refusal(pack_folder, with_image(uri="large.png"))
    assert "texture 'cut.png' is damaged or cut off" in refusal(pack_folder, with_image(uri="cut.png"))


def test_a_size_that_no_unit_explains(pack_folder):
    content = trimesh.creation.box(extents=(1e4, 1, 1)).export(file_type="stl")
    assert "the mesh reaches 5000 m from its origin: is the unit 'm' right?" in refusal(
        pack_folder, content, "thing.stl"
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"unit": "furlong"}, "objects.thing.unit: expected 'm', 'cm', 'mm' or 'inch', got 'furlong'"),
        ({"up_axis": "w"}, "objects.thing.up_axis: expected 'x', 'y' or 'z', got 'w'"),
        ({"colour": [1, 2, 0]}, "objects.thing.colour.1"),
        ({"color": [1, 1, 0]}, "objects.thing.color"),
        (
            {"symmetry": {"discrete": [{"axis": "z"}]}},
            "expected either 'axis' and 'fold', or 'quaternion_xyzw'",
        ),
        ({"symmetry": {"discrete": [{"axis": [0, 0, 0], "fold": 3}]}}, "no direction"),
        ({"symmetry": {"continuous": [0, 0, 0]}}, "no direction"),
        ({"symmetry": {"continuous": "q"}}, "objects.thing.symmetry.continuous"),
        ({"crease_degrees": float("nan")}, "objects.thing.crease_degrees"),
    ],
)
def test_manifest_entries(pack_folder, entry, expected):
    line = refusal(pack_folder, box("stl"), "thing.stl", **entry)
    assert expected in line
    assert "pack.yaml" in line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "name: own\n",
        "name: [unclosed\n",
        "name: !!python/object/apply:os.system ['true']\nobjects: {}\n",
        "name: own\nversion: '1'\nlicence: MIT\nobjects: {}\n",
        "name: ../own\nversion: '1'\nlicence: MIT\nobjects: {a: {mesh: a.stl, unit: m, up_axis: z}}\n",
        "name: own\nversion: '1'\nlicence: MIT\nobjects: {../a: {mesh: a.stl, unit: m, up_axis: z}}\n",
    ],
)
def test_broken_manifests(pack_folder, text):
    (pack_folder / "pack.yaml").write_text(text)
    with pytest.raises(AssetError) as caught:
        load_pack(pack_folder)
    assert "pack.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_symmetries_without_end(pack_folder):
    symmetry = {"discrete": [{"axis": "z", "fold": 7}, {"axis": "x", "fold": 5}]}
    (pack_folder / "thing.stl").write_bytes(box("stl"))
    spec = {"mesh": "thing.stl", "unit": "m", "up_axis": "z", "symmetry": symmetry}
    manifest = {"name": "own", "version": "1", "licence": "MIT", "objects": {"thing": spec}}
    (pack_folder / "pack.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(AssetError, match=r"pack 'own', object 'thing': symmetry\.discrete: .* more than 120"):
        load_pack(pack_folder).symmetry("thing")


@pytest.mark.parametrize("name", ["teapots", "/nowhere", "..", "weights", ""])
def test_packs_that_are_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        AssetError, match=r"no asset pack .* expected crockery, primitives, or a folder with a pack\.yaml"
    ):
        load_pack(name)

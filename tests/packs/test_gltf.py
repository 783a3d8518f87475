"""glTF 2.0 by its standard and the extensions that are common: drawn right, or refused by name."""

import base64
import json

import numpy as np
import pytest
from mesh_files import (
    BLUE,
    GLTF_UV,
    GREEN,
    GREY,
    LEFT,
    NOTHING,
    PICTURE,
    QUADRANTS,
    RED,
    RIGHT,
    SQUARE,
    TRIANGLES,
    Buffer,
    all_in,
    check_seen,
    encoded,
    glb,
    pack_of,
    quadrants,
    quarters,
)

from inverse_graphics.errors import AssetError
from inverse_graphics.packs import atlas

FLAT = np.ravel(TRIANGLES)


def painted(colour=(1, 0, 0), **more):
    return {"pbrMetallicRoughness": {"baseColorFactor": [*colour, 1]}, **more}


def pictured(texture=None, **more):
    return {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **(texture or {})}, **more}}


def mesh(*parts):
    return [{"primitives": list(parts)}]


def square(material=None, *, points=SQUARE, picture=PICTURE, uv=GLTF_UV, attributes=None, **header):
    """A GLB of a square; attributes: name → what `Buffer.add` takes."""
    b = Buffer()
    named = {"POSITION": b.add(points), "TEXCOORD_0": b.add(uv)}
    for name, (values, *kind) in (attributes or {}).items():
        named[name] = b.add(values, *kind[:1], **(kind[1] if len(kind) > 1 else {}))
    part = {"attributes": named, "indices": b.add(FLAT, "u2")}
    lists = {"images": b.picture(picture), "textures": [{"source": 0}]}
    if material is not None:
        part["material"] = 0
        lists["materials"] = [material]
    return b.glb(meshes=mesh(part), **{**lists, **header})


def pack(folder, content, files=None, name="thing.glb", **entry):
    return pack_of(folder, {name: content, **(files or {})}, name, **entry)


def srgb(*linear):
    light = np.array(linear, float)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear(values):
    values = np.array(values) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def strip():
    b = Buffer()
    part = {"attributes": {"POSITION": b.add([SQUARE[i] for i in (0, 1, 3, 2)])}, "mode": 5, "material": 0}
    return b, mesh(part)


def fan():
    b = Buffer()
    part = {"attributes": {"POSITION": b.add([[0, 0, 0], *SQUARE, SQUARE[0]])}, "mode": 6, "material": 0}
    return b, mesh(part)


def listed(kind="u2"):
    b = Buffer()
    part = {"attributes": {"POSITION": b.add(SQUARE)}, "indices": b.add(FLAT, kind), "material": 0}
    return b, mesh(part)


def without_indices():
    b = Buffer()
    return b, mesh({"attributes": {"POSITION": b.add([SQUARE[i] for i in FLAT])}, "material": 0})


def lines_beside():
    b, (only,) = listed()
    lines = {"attributes": {"POSITION": 0}, "indices": b.add([0, 1, 1, 2], "u2"), "mode": 1}
    return b, mesh(lines, *only["primitives"])


def sparse():
    """Half a square, two corners of which lie elsewhere by sparse values."""
    b, (only,) = listed()
    b.data = np.array([SQUARE[0], [0, -0.1, 0], [0, 0.1, 0], SQUARE[3]], "<f4").tobytes() + b.data[48:]
    places = b.view(np.array([1, 2], "<u2").tobytes())
    values = b.view(np.array([SQUARE[1], SQUARE[2]], "<f4").tobytes())
    indices = {"bufferView": places, "componentType": 5123}
    b.accessors[0]["sparse"] = {"count": 2, "indices": indices, "values": {"bufferView": values}}
    return b, [only]


def sparse_alone():
    """An accessor without a view is zeros where sparse values do not say otherwise."""
    b, (only,) = listed()
    places = b.view(np.array([0, 1, 2, 3], "<u1").tobytes())
    values = b.view(np.array(SQUARE, "<f4").tobytes())
    indices = {"bufferView": places, "componentType": 5121}
    del b.accessors[0]["bufferView"]
    b.accessors[0]["sparse"] = {"count": 4, "indices": indices, "values": {"bufferView": values}}
    return b, [only]


def interleaved():
    b = Buffer()
    rows = np.hstack([SQUARE, np.tile([0, 0, 1], (4, 1)), GLTF_UV]).astype("<f4")
    view = b.view(rows.tobytes(), byteStride=32)
    for offset, kind in ((0, "VEC3"), (12, "VEC3"), (24, "VEC2")):
        b.accessors.append(
            {"bufferView": view, "byteOffset": offset, "componentType": 5126, "count": 4, "type": kind}
        )
    named = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}
    return b, mesh({"attributes": named, "indices": b.add(FLAT, "u1"), "material": 0})


def morphed(weights=(1.0, 0.0)):
    b = Buffer()
    low = np.array(SQUARE) * [1, 0.5, 1] - [0, 0.05, 0]
    targets = [{"POSITION": b.add(np.array(SQUARE) - low)}, {"POSITION": b.add(np.full((4, 3), 9.0))}]
    part = {
        "attributes": {"POSITION": b.add(low)},
        "indices": b.add(FLAT, "u2"),
        "material": 0,
        "targets": targets,
    }
    return b, [{"primitives": [part], "weights": list(weights)}]


SHAPES = [
    listed(), listed("u1"), listed("u4"), strip(), fan(), without_indices(), lines_beside(), sparse(),
    sparse_alone(), interleaved(), morphed(),
]  # fmt: skip


@pytest.mark.parametrize(("buffer", "meshes"), SHAPES)
def test_ways_to_write_a_square(tmp_path, buffer, meshes):
    points = [*all_in(RED), ((0.13, 0), NOTHING), ((0, 0.13), NOTHING)]
    own = pack(tmp_path, buffer.glb(meshes=meshes, materials=[painted()]))
    check_seen(own, points)
    check_seen(own, points, diffuse=True)


def test_containers(tmp_path):
    b, meshes = listed()
    header = b.header(meshes=meshes, materials=[painted()])
    content = glb(header, b.data)
    check_seen(pack(tmp_path, content + b"\x08\0\0\0XTRA12345678"), all_in(RED))
    check_seen(pack(tmp_path, glb(header, b.data, padding=b"\0")), all_in(RED))
    header["buffers"][0]["uri"] = "data%20of%20it.bin"
    files = {"a/thing.gltf": json.dumps(header), "a/data of it.bin": b.data + b"\0\0"}
    check_seen(pack_of(tmp_path, files, "a/thing.gltf"), all_in(RED))
    check_seen(pack_of(tmp_path, {"a/thing.glb": glb(header)}, "a/thing.glb"), all_in(RED))
    inline = "data:application/octet-stream;base64," + base64.b64encode(b.data + b"\0\0").decode()
    header["buffers"][0]["uri"] = inline
    bom = b"\xef\xbb\xbf" + json.dumps(header, indent=1).encode()
    check_seen(pack(tmp_path, bom, name="thing.gltf"), all_in(RED))
    # of inline data the size is bounded as that of the file, not as that of the JSON
    header["buffers"][0]["uri"] += "A" * 4 * 2**20
    check_seen(pack(tmp_path, json.dumps(header), name="thing.gltf"), all_in(RED))


@pytest.mark.parametrize(
    ("kind", "scale", "normalized"), [("i2", 1e5, False), ("i1", 1000, False), ("i2", 32767 / 0.2, True)]
)
def test_quantised_positions(tmp_path, kind, scale, normalized):
    b = Buffer()
    named = {"POSITION": b.add(np.round(np.array(SQUARE) * scale), kind, normalized=normalized)}
    part = {"attributes": named, "indices": b.add(FLAT, "u2"), "material": 0}
    size = 0.2 if normalized else 1 / scale
    content = b.glb(
        meshes=mesh(part), materials=[painted()], nodes=[{"mesh": 0, "scale": [size] * 3}],
        extensionsUsed=["KHR_mesh_quantization"], extensionsRequired=["KHR_mesh_quantization"],
    )  # fmt: skip
    check_seen(pack(tmp_path, content), [*all_in(RED), ((0.12, 0), NOTHING)])


@pytest.mark.parametrize(("kind", "full"), [("u1", 255), ("u2", 65535)])
def test_quantised_texture_coordinates(tmp_path, kind, full):
    b = Buffer()
    uv = b.add(np.array(GLTF_UV) * full, kind, normalized=True)
    part = {
        "attributes": {"POSITION": b.add(SQUARE), "TEXCOORD_0": uv},
        "indices": b.add(FLAT, "u2"),
        "material": 0,
    }
    content = b.glb(meshes=mesh(part), images=b.picture(), textures=[{"source": 0}], materials=[pictured()])
    check_seen(pack(tmp_path, content), quarters())


def test_a_mirrored_node_mirrors_its_texture_and_faces_outwards(tmp_path):
    for node in ({"scale": [-1, 1, 1]}, {"matrix": np.diag([-1.0, 1, 1, 1]).ravel().tolist()}):
        own = pack(tmp_path, square(pictured(), nodes=[{"mesh": 0, **node}]))
        points = [((-x, y), colour) for (x, y), colour in quarters()]
        check_seen(own, points)
        check_seen(own, points, diffuse=True)
        assert (own.mesh("thing").normals[:, 2] > 0.99).all()


def test_nested_nodes_of_one_name(tmp_path):
    b, _ = listed()
    parts = [{"attributes": {"POSITION": 0}, "indices": 1, "material": m} for m in (0, 1)]
    nodes = [
        {"name": "root", "children": [1, 2], "scale": [0.5] * 3},
        {"name": "Cube", "mesh": 0, "translation": [-0.1, 0, 0], "scale": [0.4] * 3},
        {
            "name": "Cube",
            "mesh": 1,
            "translation": [0.1, 0.04, 0],
            "rotation": [0, 0, 1, 0],
            "scale": [0.8] * 3,
        },
    ]
    content = b.glb(
        meshes=[{"name": "Cube", "primitives": [part]} for part in parts], nodes=nodes,
        materials=[painted(), painted((0, 1, 0))],
    )  # fmt: skip
    points = [((-0.05, 0), RED), ((-0.075, 0), NOTHING), ((0.05, 0.02), GREEN), ((0.085, 0.05), GREEN)]
    check_seen(pack(tmp_path, content), [*points, ((0.05, -0.03), NOTHING)])


@pytest.mark.parametrize(
    "scenes",
    [
        {"scene": 1, "scenes": [{"nodes": [0]}, {"nodes": [1]}]},
        {"scene": 0, "scenes": [{"nodes": [1]}]},
    ],
)
def test_only_what_the_scene_names_is_drawn(tmp_path, scenes):
    b, meshes = listed()
    nodes = [{"mesh": 0, "scale": [0.2] * 3, "translation": [x, 0, 0]} for x in (-0.05, 0.05)]
    content = b.glb(meshes=meshes, nodes=nodes, materials=[painted()], **scenes)
    check_seen(pack(tmp_path, content), [((0.05, 0), RED), ((-0.05, 0), NOTHING)])


def test_instances(tmp_path):
    b, meshes = listed()
    where = {"TRANSLATION": b.add([[-0.08, 0, 0], [0, 0, 0], [0.08, 0, 0]]), "SCALE": b.add([[0.2] * 3] * 3)}
    node = {"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {"attributes": where}}}
    content = b.glb(meshes=meshes, materials=[painted()], nodes=[node])
    check_seen(pack(tmp_path, content), [((x, 0), RED) for x in (-0.08, 0, 0.08)] + [((0.04, 0), NOTHING)])


@pytest.mark.parametrize(("kind", "full"), [("f4", 1), ("u1", 255)])
def test_a_skinned_mesh_rests_where_its_joints_are(tmp_path, kind, full):
    b = Buffer()
    half = np.array(SQUARE) * 0.4
    scaled = {} if kind == "f4" else {"normalized": True}
    named = {
        "POSITION": b.add(half),
        "JOINTS_0": b.add([[0, 1, 0, 0]] * 4, "u1"),
        "WEIGHTS_0": b.add([[full, 0, 0, 0]] * 2 + [[0, full, 0, 0]] * 2, kind, **scaled),
    }
    inverse = b.add(np.stack([np.eye(4), np.eye(4)]))
    part = {"attributes": named, "indices": b.add(FLAT, "u2"), "material": 0}
    nodes = [
        {"mesh": 0, "skin": 0, "translation": [-0.06, 0, 0]},
        {"translation": [0.06, 0, 0], "children": [2]},
        {"translation": [0, 0.05, 0]},
    ]
    skins = [{"joints": [1, 2], "inverseBindMatrices": inverse}]
    content = b.glb(
        meshes=mesh(part), materials=[painted()], nodes=nodes, skins=skins, scenes=[{"nodes": [0, 1]}]
    )
    points = [((0.06, -0.035), RED), ((0.06, 0.085), RED), ((-0.06, 0), NOTHING), ((0.06, 0.095), NOTHING)]
    check_seen(pack(tmp_path, content), points)


def test_factors_are_linear_light_and_pictures_are_not(tmp_path):
    check_seen(pack(tmp_path, square(painted((0.2140, 0.0331, 0.6038)))), all_in((128, 51, 204)), tolerance=1)
    check_seen(
        pack(tmp_path, square(pictured(), picture=encoded(np.full((4, 4, 3), 128)))), all_in([128] * 3), 1
    )
    half = [(point, srgb(*(0.5 * linear(colour)))) for point, colour in quarters()]
    check_seen(pack(tmp_path, square(pictured(baseColorFactor=[0.5, 0.5, 0.5, 1]))), half, tolerance=2)


def test_white_where_a_material_says_nothing_and_grey_where_there_is_none(tmp_path):
    check_seen(
        pack(tmp_path, square({"pbrMetallicRoughness": {"metallicFactor": 0}})), all_in([255] * 3), 0.5
    )
    check_seen(pack(tmp_path, square()), all_in(GREY), 0.5)


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize(
    ("kind", "full", "seen"),
    [("u1", 255, (255, 102, 0)), ("u2", 65535, srgb(1, 0.4, 0)), ("f4", 1, srgb(1, 0.4, 0))],
)
@pytest.mark.parametrize("material", [None, {}])
def test_colours_of_vertices_are_linear_light_but_in_eight_bits(tmp_path, width, kind, full, seen, material):
    """What writes eight bits, as trimesh does, writes image values: linear light would show bands there."""
    rows = np.round(np.array([[1, 0.4, 0, 0.5]] * 4)[:, :width] * full, 6)
    more = {} if kind == "f4" else {"normalized": True}
    content = square(material, attributes={"COLOR_0": (rows, kind, more)})
    check_seen(pack(tmp_path, content), all_in(seen), tolerance=1)


def test_colours_of_vertices_multiply_factor_and_picture(tmp_path):
    half = {"COLOR_0": (np.full((4, 3), 0.5),)}
    content = square(painted((0.5, 1, 0)), attributes=half)
    check_seen(pack(tmp_path, content), all_in(srgb(0.25, 0.5, 0)), tolerance=1)
    # beside a picture the renderer multiplies image values, which is nearly the same
    darker = [(point, srgb(*(0.5 * linear(colour)))) for point, colour in quarters()]
    check_seen(pack(tmp_path, square(pictured(), attributes=half)), darker, tolerance=6)


def test_specular_and_glossiness(tmp_path):
    def glossy(**surface):
        return {"extensions": {"KHR_materials_pbrSpecularGlossiness": surface}}

    content = square(glossy(diffuseFactor=[1, 0.5, 0, 1]))
    check_seen(pack(tmp_path, content), all_in(srgb(1, 0.5, 0)))
    check_seen(pack(tmp_path, square(glossy(diffuseTexture={"index": 0}))), quarters())


def test_light_of_its_own_is_added_to_the_colour(tmp_path):
    dark = painted((0, 0, 0), emissiveFactor=[0, 0.25, 0])
    check_seen(pack(tmp_path, square(dark)), all_in(srgb(0, 0.25, 0)))
    strong = {**dark, "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 2}}}
    check_seen(pack(tmp_path, square(strong)), all_in(srgb(0, 0.5, 0)))
    check_seen(
        pack(tmp_path, square({**dark, "emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": 0}})),
        quarters(),
    )
    over = {**pictured(), "emissiveFactor": [1, 0, 0]}
    check_seen(pack(tmp_path, square(over)), [(point, (255, *colour[1:])) for point, colour in quarters()])


def test_unlit_is_lit_and_that_is_said(tmp_path):
    own = pack(tmp_path, square(painted(extensions={"KHR_materials_unlit": {}})))
    check_seen(own, all_in(RED), diffuse=True)
    assert "unlit" in own.remarks("thing")[0]


@pytest.mark.parametrize("number", [1, 2])
def test_the_set_of_coordinates_that_a_texture_names(tmp_path, number):
    sets = {f"TEXCOORD_{number}": (GLTF_UV,)}
    content = square(pictured({"texCoord": number}), uv=np.full((4, 2), 0.9), attributes=sets)
    check_seen(pack(tmp_path, content), quarters())
    change = {"extensions": {"KHR_texture_transform": {"texCoord": number}}}
    check_seen(pack(tmp_path, square(pictured(change), uv=np.full((4, 2), 0.9), attributes=sets)), quarters())


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        # the image's pixel that each quarter shows, by hand: u right, v down
        ({"offset": [0.5, 0.5], "scale": [0.5, 0.5]}, {(x, y): (1, -1) for x in (-1, 1) for y in (-1, 1)}),
        ({"offset": [0.5, 0]}, {(x, y): (-x, y) for x in (-1, 1) for y in (-1, 1)}),
        # a quarter turn takes (u, v) to (v, −u): the upper left of the square shows the lower left
        ({"rotation": np.pi / 2}, {(-1, 1): (-1, -1), (1, 1): (-1, 1), (-1, -1): (1, -1), (1, -1): (1, 1)}),
    ],
)
def test_texture_transforms(tmp_path, change, seen):
    content = square(pictured({"extensions": {"KHR_texture_transform": change}}))
    points = [((0.05 * x, 0.05 * y), QUADRANTS[seen[x, y]]) for x, y in seen]
    check_seen(pack(tmp_path, content), points)


REPEAT, CLAMP, MIRROR = 10497, 33071, 33648


@pytest.mark.parametrize("across", [REPEAT, CLAMP, MIRROR])
@pytest.mark.parametrize("down", [REPEAT, CLAMP, MIRROR])
def test_what_a_texture_does_beyond_its_edges(tmp_path, across, down):
    """The square shows u and v from −1 to 2; every ninth of it is compared with the rule."""
    content = square(
        pictured(), uv=np.array(GLTF_UV) * 3 - 1, samplers=[{"wrapS": across, "wrapT": down}],
        textures=[{"source": 0, "sampler": 0}],
    )  # fmt: skip

    def rule(value, wrap):
        if wrap == CLAMP:
            return min(max(value, 0), 1)
        return 1 - value % 1 if wrap == MIRROR and value // 1 % 2 else value % 1

    points = []
    for u in np.arange(-0.75, 2, 0.5):
        for v in np.arange(-0.75, 2, 0.5):  # down
            shown = (1 if rule(u, across) > 0.5 else -1, -1 if rule(v, down) > 0.5 else 1)
            points.append((((u - 0.5) / 15, (0.5 - v) / 15), QUADRANTS[shown]))
    check_seen(pack(tmp_path, content), points)


def test_a_clamped_texture_does_not_bleed_from_the_other_side(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4], pixels[:, 4:] = RED, BLUE
    content = square(
        pictured(), picture=encoded(pixels), samplers=[{"wrapS": CLAMP, "wrapT": CLAMP}],
        textures=[{"source": 0, "sampler": 0}],
    )  # fmt: skip
    check_seen(pack(tmp_path, content), [((-0.0975, 0.03), RED), ((0.0975, 0.03), BLUE)])


def test_pixel_art_stays_sharp(tmp_path):
    content = square(
        pictured(), picture=encoded(quadrants(2)), samplers=[{"magFilter": 9728}],
        textures=[{"source": 0, "sampler": 0}],
    )  # fmt: skip
    near = [((0.02 * x, 0.02 * y), colour) for (x, y), colour in QUADRANTS.items()]
    far = [((0.09 * x, 0.09 * y), colour) for (x, y), colour in QUADRANTS.items()]
    check_seen(pack(tmp_path, content), near + far)


def test_masked_texels_are_cut_out(tmp_path):
    """A disc of alpha: its area is that of the circle, in front and from behind."""
    y, x = np.mgrid[:64, :64] - 31.5
    rgba = np.dstack([quadrants(), np.where(np.hypot(x, y) < 24, 255, 0).astype(np.uint8)])
    masked = {**pictured(), "alphaMode": "MASK"}
    own = pack(tmp_path, square(masked, picture=encoded(rgba)))
    inside = [((0.03 * x, 0.03 * y), colour) for (x, y), colour in QUADRANTS.items()]
    check_seen(own, [*inside, *[((0.07 * x, 0.07 * y), NOTHING) for x, y in QUADRANTS]])
    mesh = own.mesh("thing")
    corners = mesh.vertices[mesh.faces].astype(float)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2].sum() / 2
    assert area == pytest.approx(np.pi * (0.2 * 24 / 64) ** 2, rel=0.01)
    assert len(mesh.faces) < 5000
    opaque = pack(tmp_path, square(pictured(), picture=encoded(rgba)))
    check_seen(opaque, [((0.07, 0.07), QUADRANTS[1, 1])])
    below = pack(tmp_path, square({**masked, "alphaCutoff": 0.0}, picture=encoded(rgba)))
    check_seen(below, [((0.07, 0.07), QUADRANTS[1, 1])])


def test_what_is_partly_transparent_is_opaque_and_what_is_wholly_so_is_not_there(tmp_path):
    rgba = np.dstack([quadrants(), np.full((64, 64), 90, np.uint8)])
    rgba[:, 32:, 3] = 0
    own = pack(tmp_path, square({**pictured(), "alphaMode": "BLEND"}, picture=encoded(rgba)))
    check_seen(own, [((-0.05, 0.05), QUADRANTS[-1, 1]), ((0.05, 0.05), NOTHING)])
    assert "transparent" in own.remarks("thing")[0]
    b, (only,) = listed()
    glass, hidden = painted((0, 1, 0), alphaMode="BLEND"), painted(alphaMode="BLEND")
    glass["pbrMetallicRoughness"]["baseColorFactor"][3] = 0.3
    hidden["pbrMetallicRoughness"]["baseColorFactor"][3] = 0
    in_front = {
        "attributes": {"POSITION": b.add([[x, y, 0.01] for x, y, _ in SQUARE])},
        "indices": 1,
        "material": 1,
    }
    content = b.glb(meshes=mesh(*only["primitives"], in_front), materials=[glass, hidden])
    own = pack(tmp_path, content)
    check_seen(own, all_in(GREEN))
    assert len(own.remarks("thing")) == 2


def halves(materials, uv=GLTF_UV, **header):
    """Two parts side by side, each with a material of its own."""
    b = Buffer()
    indices, coordinates = b.add(FLAT, "u2"), b.add(uv)
    parts = [
        {
            "attributes": {"POSITION": b.add(points), "TEXCOORD_0": coordinates},
            "indices": indices,
            "material": m,
        }
        for m, points in enumerate((LEFT, RIGHT))
    ]
    lists = {"images": b.picture(), "textures": [{"source": 0}]}
    return b, {"meshes": mesh(*parts), "materials": materials, **lists, **header}


def test_materials_apply_to_their_own_part(tmp_path):
    left, right = quarters((-0.055, 0), 0.1, 0.2), quarters((0.055, 0), 0.1, 0.2)
    b, header = halves([pictured(), painted()])
    plain = [((x, y), RED) for x in (0.015, 0.095) for y in (-0.09, 0.09)]
    check_seen(pack(tmp_path, b.glb(**header)), left + plain)
    b, header = halves([pictured(), pictured(baseColorFactor=[0.5, 0.5, 0.5, 1])])
    darker = [(point, srgb(*(0.5 * linear(colour)))) for point, colour in right]
    check_seen(pack(tmp_path, b.glb(**header)), left + darker)


def test_two_textures_become_one(tmp_path):
    left, right = quarters((-0.055, 0), 0.1, 0.2), quarters((0.055, 0), 0.1, 0.2)
    for other, seen in (
        (PICTURE, right),
        (encoded(255 - quadrants(32)), [(p, 255 - np.array(c)) for p, c in right]),
    ):
        b, header = halves([pictured(), pictured({"index": 1})], textures=[{"source": 0}, {"source": 1}])
        header["images"] += b.picture(other)
        check_seen(pack(tmp_path, b.glb(**header)), left + seen)
    check_seen(pack(tmp_path, b.glb(**header), colour=[1, 0, 0]), [(point, RED) for point, _ in left + right])


def test_textures_that_repeat_become_one_too(tmp_path):
    b, header = halves([pictured(), painted()], uv=np.array(GLTF_UV) * 2)
    tiles = [p for x in (-0.08, -0.03) for y in (-0.05, 0.05) for p in quarters((x, y), 0.05, 0.1)]
    check_seen(pack(tmp_path, b.glb(**header)), [*tiles, ((0.05, 0.05), RED)])
    b, header = halves([pictured(), painted()], uv=np.array(GLTF_UV) * 1000)
    with pytest.raises(AssetError, match="its texture repeats so often that more than 200,000 pieces"):
        pack(tmp_path, b.glb(**header)).mesh("thing")


def test_a_large_texture_beside_others_is_reduced(tmp_path):
    b, header = halves([pictured(), pictured({"index": 1})], textures=[{"source": 0}, {"source": 1}])
    header["images"] = b.picture(encoded(quadrants(4096), compress_level=1)) + b.picture(
        encoded(quadrants(2048))
    )
    own = pack(tmp_path, b.glb(**header))
    check_seen(own, quarters((-0.055, 0), 0.1, 0.2) + quarters((0.055, 0), 0.1, 0.2))
    assert own.remarks("thing")[0].endswith("its textures are reduced to 1/2 of their size")


def test_textures_are_bounded_together(tmp_path, monkeypatch):
    monkeypatch.setattr(atlas, "MAX_TEXELS", 5000)
    b, header = halves([pictured(), pictured(baseColorFactor=[0.5, 0.5, 0.5, 1])])
    with pytest.raises(AssetError, match="it has 8,192 texels in its textures: expected at most 5,000"):
        pack(tmp_path, b.glb(**header)).mesh("thing")


def test_pictures_beside_the_file_and_of_other_kinds(tmp_path):
    for uri, name in (
        ("wood%20grain.png", "wood grain.png"),
        ("wood grain.png", "wood grain.png"),
        (".\\A.PNG", "a.png"),
    ):
        content = square(pictured(), images=[{"uri": uri}])
        check_seen(pack(tmp_path, content, {name: PICTURE}), quarters())
    inline = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    check_seen(pack(tmp_path, square(pictured(), images=[{"uri": inline}])), quarters())
    webp = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    content = square(pictured(), picture=encoded(quadrants(), "WEBP", lossless=True), textures=webp)
    check_seen(pack(tmp_path, content), quarters())


def test_pictures_that_give_no_colour_are_not_opened(tmp_path):
    textures = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    ktx = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(64)
    content = square(painted(normalTexture={"index": 0}), picture=ktx, textures=textures)
    check_seen(pack(tmp_path, content), all_in(RED))
    with pytest.raises(AssetError, match=r"its image is in KTX2 .KHR_texture_basisu.: export it as PNG"):
        pack(tmp_path, square(pictured(), picture=ktx, textures=textures)).mesh("thing")
    check_seen(pack_of(tmp_path, {"own.png": PICTURE}, "thing.glb", texture="own.png"), quarters())


def test_faces_back_to_back_show_each_its_own_side(tmp_path):
    b = Buffer()
    named = {"POSITION": b.add(SQUARE)}
    parts = [
        {"attributes": named, "indices": b.add(np.array(TRIANGLES)[:, ::-1].ravel(), "u2"), "material": 0},
        {"attributes": named, "indices": b.add(FLAT, "u2"), "material": 1},
    ]
    own = pack(tmp_path, b.glb(meshes=mesh(*parts), materials=[painted((0, 0, 1)), painted()]))
    check_seen(own, all_in(RED))
    check_seen(own, all_in(BLUE), quaternion_xyzw=[1, 0, 0, 0])


@pytest.mark.parametrize(
    "name",
    ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_technique_webgl", "ACME_holes"],
)
def test_required_extensions_that_are_not_read_are_refused_by_name(tmp_path, name):
    with pytest.raises(AssetError, match=f"it needs the glTF extension {name}: export it without"):
        pack(tmp_path, square(painted(), extensionsRequired=["KHR_materials_ior", name])).mesh("thing")


def test_gltf_1_is_refused_by_name(tmp_path):
    with pytest.raises(AssetError, match=r"it is glTF of version 1\.1: expected 2\.0; convert it"):
        pack(tmp_path, json.dumps({"asset": {"version": "1.1"}}), name="thing.gltf").mesh("thing")

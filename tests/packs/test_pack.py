"""Packs as their makers mean them: units, axes, colours, names, hashes."""

import io
import shutil

import numpy as np
import pytest
import torch
import trimesh
import yaml
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.pack import load_library, load_pack, shipped_packs

PLAIN = {"mesh": "thing.ply", "unit": "m", "up_axis": "z"}


@pytest.fixture
def make_pack(tmp_path):
    """Write a pack of one object, "own/thing"; keys change its entry, files are written beside it."""

    def make(files, **entry):
        manifest = {"name": "own", "version": "1", "licence": "MIT", "objects": {"thing": {**PLAIN, **entry}}}
        folder = tmp_path / "pack"
        folder.mkdir(exist_ok=True)
        (folder / "pack.yaml").write_text(yaml.safe_dump(manifest))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return load_pack(folder)

    return make


def brick():
    """Each side of another length, off-centre, so that a swapped or mirrored axis shows."""
    mesh = trimesh.creation.box(extents=(1, 2, 4))
    mesh.apply_translation((5, 6, 7))
    return mesh


def exported(mesh, kind):
    data = mesh.export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def signed_volume(mesh):
    a, b, c = mesh.vertices[mesh.faces].astype(np.float64).swapaxes(0, 1)
    return (np.cross(a, b) * c).sum() / 6


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_every_kind_of_file_gives_the_same_solid(make_pack, kind):
    mesh = make_pack({f"thing.{kind}": exported(brick(), kind)}, mesh=f"thing.{kind}").mesh("own/thing")
    np.testing.assert_allclose(mesh.vertices.min(0), [4.5, 5, 5], atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.max(0), [5.5, 7, 9], atol=1e-6)
    assert (len(mesh.vertices), len(mesh.faces)) == (24, 12)
    assert signed_volume(mesh) == pytest.approx(8)
    outward = (mesh.normals * (mesh.vertices - [5, 6, 7])).sum(1)
    assert (outward > 0).all()


@pytest.mark.parametrize(("unit", "metres"), [("m", 1), ("cm", 0.01), ("mm", 0.001), ("inch", 0.0254)])
def test_units_become_metres(make_pack, unit, metres):
    mesh = make_pack({"thing.ply": exported(brick(), "ply")}, unit=unit).mesh("thing")
    np.testing.assert_allclose(mesh.vertices.max(0), np.array([5.5, 7, 9]) * metres, rtol=1e-6)


@pytest.mark.parametrize(
    ("up_axis", "centre"),
    [("z", (5, 6, 7)), ("y", (5, -7, 6)), ("x", (6, 7, 5))],
)
def test_the_axis_that_points_up_becomes_z_by_a_rotation(make_pack, up_axis, centre):
    mesh = make_pack({"thing.ply": exported(brick(), "ply")}, up_axis=up_axis).mesh("thing")
    np.testing.assert_allclose((mesh.vertices.max(0) + mesh.vertices.min(0)) / 2, centre, atol=1e-5)
    assert signed_volume(mesh) == pytest.approx(8)  # a reflection would change its sign


def test_parts_stand_where_the_file_puts_them_mirrored_ones_facing_outwards(make_pack):
    scene = trimesh.Scene()
    mirror = np.diag([-1.0, 1, 1, 1])
    scene.add_geometry(brick(), geom_name="a")
    scene.add_geometry(brick(), geom_name="b", transform=mirror)
    mesh = make_pack({"thing.glb": exported(scene, "glb")}, mesh="thing.glb").mesh("thing")
    np.testing.assert_allclose(mesh.vertices.min(0), [-5.5, 5, 5], atol=1e-6)
    assert signed_volume(mesh) == pytest.approx(16)


def test_colours_of_vertices_faces_and_materials_arrive(make_pack):
    rng = np.random.default_rng(0)
    mesh = brick()
    rgba = np.column_stack([rng.integers(0, 256, (8, 3)), np.full(8, 255)]).astype(np.uint8)
    mesh.visual = ColorVisuals(mesh, vertex_colors=rgba)
    loaded = make_pack({"thing.ply": exported(mesh, "ply")}).mesh("thing")
    by_place = {tuple(place): colour[:3] / 255 for place, colour in zip(mesh.vertices, rgba, strict=True)}
    expected = [by_place[tuple(place)] for place in loaded.vertices.astype(np.float64)]
    np.testing.assert_allclose(loaded.colours, expected, atol=1e-6)

    mesh = brick()
    rgba = np.column_stack([rng.integers(0, 256, (12, 3)), np.full(12, 255)]).astype(np.uint8)
    mesh.visual = ColorVisuals(mesh, face_colors=rgba)
    loaded = make_pack({"thing.ply": exported(mesh, "ply")}).mesh("thing")
    np.testing.assert_allclose(loaded.colours[loaded.faces[:, 0]], rgba[:, :3] / 255, atol=1e-6)

    mesh = brick()
    mesh.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[51, 102, 204, 255]))
    loaded = make_pack({"thing.glb": exported(mesh, "glb")}, mesh="thing.glb").mesh("thing")
    # factors are linear light: 0.2, 0.4 and 0.8 of it are these image values
    np.testing.assert_allclose(np.unique(loaded.colours, axis=0), [[0.4845, 0.6652, 0.9063]], atol=1e-4)


def test_the_manifest_s_colour_replaces_the_file_s(make_pack):
    mesh = brick()
    mesh.visual = ColorVisuals(mesh, vertex_colors=np.full((8, 4), 9, np.uint8))
    loaded = make_pack({"thing.ply": exported(mesh, "ply")}, colour=[0.25, 0.5, 1]).mesh("thing")
    np.testing.assert_array_equal(np.unique(loaded.colours, axis=0), [[0.25, 0.5, 1.0]])


PIXELS = np.random.default_rng(1).integers(0, 256, (3, 5, 3))
UV = np.random.default_rng(2).random((8, 2))


def textured(material):
    mesh = brick()
    mesh.visual = TextureVisuals(uv=UV, material=material)
    return mesh


def check_texture(mesh):
    np.testing.assert_allclose(mesh.texture, PIXELS / 255, atol=1e-6)
    np.testing.assert_array_equal(mesh.colours, 1)
    by_place = {tuple(place): uv for place, uv in zip(brick().vertices, UV, strict=True)}
    expected = [by_place[tuple(place)] for place in mesh.vertices.astype(np.float64)]
    np.testing.assert_allclose(mesh.uv, expected, atol=1e-5)


def test_textures_arrive_from_glb_and_obj_v_pointing_up(make_pack):
    image = Image.fromarray(PIXELS.astype(np.uint8))
    glb = exported(textured(PBRMaterial(baseColorTexture=image)), "glb")
    check_texture(make_pack({"thing.glb": glb}, mesh="thing.glb").mesh("thing"))
    obj, companions = trimesh.exchange.obj.export_obj(
        textured(SimpleMaterial(image=image)), return_texture=True, mtl_name="own.mtl"
    )
    files = {"thing.obj": obj.encode(), **companions}
    check_texture(make_pack(files, mesh="thing.obj").mesh("thing"))


def test_the_manifest_s_texture_lies_on_the_mesh_s_own_coordinates(make_pack):
    glb = exported(textured(PBRMaterial(baseColorTexture=Image.new("RGB", (2, 2)))), "glb")
    pack = make_pack({"thing.glb": glb, "skin.png": png(PIXELS)}, mesh="thing.glb", texture="skin.png")
    check_texture(pack.mesh("thing"))


def test_a_texture_needs_coordinates(make_pack):
    pack = make_pack({"thing.ply": exported(brick(), "ply"), "skin.png": png(PIXELS)}, texture="skin.png")
    with pytest.raises(AssetError, match=r"pack 'own', object 'thing', thing\.ply: .*texture coordinates"):
        pack.mesh("thing")


def test_crease_angle_is_the_manifest_s(make_pack):
    smooth = make_pack({"thing.ply": exported(brick(), "ply")}, crease_degrees=100).mesh("thing")
    assert len(smooth.vertices) == 8


def test_symmetries_are_read(make_pack):
    files = {"thing.ply": exported(brick(), "ply")}
    pack = make_pack(files, symmetry={"discrete": [{"axis": "z", "fold": 2}, {"axis": [2, 0, 0], "fold": 2}]})
    assert len(pack.symmetry("own/thing").discrete) == 4
    pack = make_pack(files, symmetry={"discrete": [{"quaternion_xyzw": [0, 0, 2, 0]}]})
    torch.testing.assert_close(
        pack.symmetry("thing").discrete[1].diagonal(), torch.tensor([-1.0, -1, 1]).double()
    )
    pack = make_pack(files, symmetry={"continuous": [0, 3, 4]})
    axis = pack.symmetry("thing").axis
    assert axis is not None
    assert axis.tolist() == pytest.approx([0, 0.6, 0.8])
    assert make_pack(files, symmetry={"continuous": "any"}).symmetry("thing").spherical


def test_hash_follows_the_files_and_nothing_else(make_pack, tmp_path):
    pack = make_pack({"thing.ply": exported(brick(), "ply")})
    before = pack.content_hash()
    (pack.folder / "README.txt").write_text("of no consequence")
    copy = shutil.copytree(pack.folder, tmp_path / "elsewhere")
    assert load_pack(copy).content_hash() == pack.content_hash() == before
    with (pack.folder / "thing.ply").open("ab") as file:
        file.write(b"\n")
    changed = pack.content_hash()
    with (pack.folder / "pack.yaml").open("a") as file:
        file.write("# a comment\n")
    assert len({before, changed, pack.content_hash()}) == 3


def test_libraries_are_put_together_from_several_packs(make_pack):
    own = make_pack({"thing.ply": exported(brick(), "ply")})
    names = ["crockery/mug", "own/thing", "primitives/cube", "crockery/mug"]
    library = load_library(names, [own])
    assert library.names == ("crockery/mug", "own/thing", "primitives/cube")
    start, stop = library.first_vertex[1:3].tolist()
    np.testing.assert_array_equal(library.vertices[start:stop], own.mesh("thing").vertices)
    assert load_library([]).names == ()


def test_a_pack_s_library_follows_the_manifest():
    for name in shipped_packs():
        pack = load_pack(name)
        assert pack.library().names == pack.asset_names == tuple(n for n, _ in pack.meshes())
        assert all(asset.startswith(f"{name}/") for asset in pack.asset_names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["crokery/mug"],
            "asset 'crokery/mug': no pack 'crokery': expected 'pack/object' from crockery, primitives",
        ),
        (["crockery/teapot"], "pack 'crockery' has no object 'teapot': it has plate, bowl, mug, glass, pan"),
        (["mug"], "no pack 'mug'"),
    ],
)
def test_unknown_assets_are_named_beside_the_known_ones(names, message):
    with pytest.raises(AssetError, match=message):
        load_library(names)

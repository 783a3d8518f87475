"""Mesh files become a pack: what is guessed, what is found, what is refused, and what stays as it was."""

import io

import numpy as np
import pytest
import trimesh
import yaml
from PIL import Image
from solid_meshes import box, can, exported, moved

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.adding import (
    AddingOptions,
    add_objects,
    guessed_unit,
    mesh_sources,
    object_name,
)
from inverse_graphics.packs.pack import ObjectSpec, load_pack


@pytest.fixture
def meshes(tmp_path):
    """Write files into a folder of meshes."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / "meshes" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "meshes"

    return write


def pack_with(paths, folder, options=None):
    """The pack, of which all meshes could be added."""
    added = add_objects(paths, folder, options)
    assert added.problems == []
    assert added.pack is not None
    return added.pack


def png(side, colour=(200, 30, 30)):
    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(np.uint8(colour), (side, side, 3)).copy()).save(file, "PNG")
    return file.getvalue()


def textured_obj(picture="skin.png"):
    """A tent on the table, 10 cm, with a material file."""
    return {
        "tent.obj": "mtllib tent.mtl\nusemtl a\n"
        "v -.05 -.05 0\nv .05 -.05 0\nv .05 .05 0\nv -.05 .05 0\nv 0 0 .08\nvt 0 0\nvt 1 0\nvt .5 1\n"
        "f 1/1 2/2 5/3\nf 2/1 3/2 5/3\nf 3/1 4/2 5/3\nf 4/1 1/2 5/3\nf 4/1 3/2 2/3\nf 4/1 2/2 1/3\n",
        "tent.mtl": f"newmtl a\nmap_Kd {picture}\n",
    }


def test_six_meshes_of_five_formats_become_a_pack(meshes, tmp_path):
    folder = meshes({
        "Can.stl": exported(can().apply_scale(1000), "stl"),
        "sub/Box 2.ply": exported(box(), "ply"),
        "glass.glb": exported(can(0.03, 0.12, 32).apply_transform(Z_TO_Y), "glb"),
        "brick.obj": exported(box(0.2, 0.1, 0.06).apply_scale(100), "obj"),
        **textured_obj(),
        "skin.png": png(16),
    })  # fmt: skip
    added = add_objects([folder], tmp_path / "My Pack", AddingOptions(), licence="CC0-1.0")
    assert added.problems == []
    by_name = {one.name: one for one in added.added}
    assert set(by_name) == {"can", "box_2", "glass", "brick", "tent"}
    assert {name: one.unit for name, one in by_name.items()} == {
        "can": "mm", "box_2": "m", "glass": "m", "brick": "cm", "tent": "m"
    }  # fmt: skip
    assert by_name["can"].unit_guessed
    assert not by_name["glass"].unit_guessed
    assert by_name["glass"].up_axis == "y"
    assert by_name["can"].spec.symmetry.continuous == "z"
    pack = load_pack(tmp_path / "My Pack")
    assert (pack.name, pack.manifest.licence) == ("my_pack", "CC0-1.0")
    for name, size in {"can": (0.06, 0.06, 0.1), "brick": (0.2, 0.1, 0.06), "tent": (0.1, 0.1, 0.08)}.items():
        vertices = pack.mesh(name).vertices
        assert np.ptp(vertices, axis=0) == pytest.approx(size, rel=0.01)
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
        assert vertices[:, :2].mean(axis=0) == pytest.approx((0, 0), abs=0.004)
    assert pack.mesh("tent").texture is not None
    assert sorted(each.name for each in (tmp_path / "My Pack" / "tent").iterdir()) == [
        "skin.png", "tent.mtl", "tent.obj"
    ]  # fmt: skip


Z_TO_Y = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("extent", "suffix", "unit"),
    [
        (0.12, ".obj", "m"), (12.0, ".obj", "cm"), (120.0, ".stl", "mm"), (300.0, ".stl", "mm"),
        (0.9, ".obj", "m"), (1.2, ".glb", "m"), (250.0, ".glb", "mm"),
    ],
)  # fmt: skip
def test_units_are_guessed_from_the_size(extent, suffix, unit):
    assert guessed_unit(extent, suffix) == unit


@pytest.mark.parametrize(
    ("text", "name"), [("Coffee Mug (2)", "coffee_mug_2"), ("ÄÖ", ""), ("--a", "a"), ("x" * 80, "x" * 64)]
)
def test_names_are_made_of_any_text(text, name):
    assert object_name(text) == name


def test_a_file_that_is_called_model_gets_the_name_of_its_folder(meshes, tmp_path):
    folder = meshes({"025_mug/google_16k/textured.ply": exported(can(), "ply")})
    added = add_objects([folder], tmp_path / "pack")
    assert [one.name for one in added.added] == ["025_mug"]


@pytest.mark.parametrize(
    ("origin", "low", "high"),
    [
        ("base", (-0.05, -0.035, 0), (0.05, 0.035, 0.03)),
        ("centre", (-0.05, -0.035, -0.015), (0.05, 0.035, 0.015)),
        ("file", (-0.04, -0.035, 0), (0.06, 0.035, 0.03)),
        ((0.06, 0.0, 0.03), (-0.1, -0.035, -0.03), (0, 0.035, 0)),
    ],
)
def test_origins_lie_where_they_are_asked_for(meshes, tmp_path, origin, low, high):
    folder = meshes({"box.ply": exported(box(), "ply")})
    vertices = pack_with([folder], tmp_path / "pack", AddingOptions(origin=origin)).mesh("box").vertices
    np.testing.assert_allclose(vertices.min(axis=0), low, atol=1e-6)
    np.testing.assert_allclose(vertices.max(axis=0), high, atol=1e-6)


def test_the_origin_at_the_base_is_put_on_the_axis_where_there_is_one(meshes, tmp_path):
    """As of a scan, whose lowest tenth is not all around."""
    knob = moved(trimesh.creation.box((0.004, 0.004, 0.008)), (0.07, 0, 0))
    plate = trimesh.util.concatenate([can(0.08, 0.02), knob])
    added = add_objects([meshes({"plate.ply": exported(plate, "ply")})], tmp_path / "pack").added[0]
    assert added.spec.symmetry.continuous == "z"
    assert any("axis of symmetry" in remark for remark in added.remarks)
    assert not isinstance(added.spec.origin, str)
    x, y, z = added.spec.origin
    assert (x, y) == pytest.approx((0, 0), abs=0.002)
    assert z == pytest.approx(-0.004, abs=1e-5)


def test_scale_unit_axis_colour_and_class_are_as_given(meshes, tmp_path):
    folder = meshes({"box.ply": exported(box(), "ply")})
    options = AddingOptions(
        unit="cm", up_axis="x", scale=50.0, colour=(0.1, 0.2, 0.3), category="brick", upright=True
    )
    pack = pack_with([folder], tmp_path / "pack", options)
    mesh = pack.mesh("box")
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx((0.035, 0.015, 0.05), abs=1e-6)
    assert mesh.colours[0] == pytest.approx((0.1, 0.2, 0.3))
    spec = pack.manifest.objects["box"]
    assert (spec.category, len(spec.resting_poses), spec.resting_poses[0].probability) == ("brick", 1, 1)
    assert yaml.safe_load((tmp_path / "pack" / "pack.yaml").read_text())["objects"]["box"]["class"] == "brick"


def test_large_meshes_are_reduced_and_large_or_several_textures_baked(meshes, tmp_path):
    solid = trimesh.creation.icosphere(5, 0.05)
    files = textured_obj()
    files["tent.obj"] = files["tent.obj"].replace("f 3/1", "usemtl b\nf 3/1")
    files["tent.mtl"] += "newmtl b\nmap_Kd other.png\n"
    large = {name.replace("tent", "hut"): text for name, text in textured_obj("large.png").items()}
    large["hut.obj"] = large["hut.obj"].replace("tent.mtl", "hut.mtl")
    folder = meshes({
        "ball.ply": exported(solid, "ply"), **files, **large,
        "skin.png": png(16), "other.png": png(16, (0, 90, 0)), "large.png": png(300),
    })  # fmt: skip
    options = AddingOptions(max_faces=1000, texture_side=256)
    added = {one.name: one for one in add_objects([folder], tmp_path / "pack", options).added}
    assert added["ball"].faces_before == 20480
    assert added["ball"].faces <= 1020
    assert any("20,480 faces are reduced to 1,0" in remark for remark in added["ball"].remarks)
    assert any("2 textures are baked into one" in remark for remark in added["tent"].remarks)
    assert any("300×300 is reduced to 256×256" in remark for remark in added["hut"].remarks)
    assert {one.spec.mesh for one in added.values()} == {
        "ball/ball.glb", "tent/tent.glb", "hut/hut.glb"
    }  # fmt: skip
    texture = load_pack(tmp_path / "pack").mesh("hut").texture
    assert texture is not None
    assert texture.shape == (256, 256, 3)


MANIFEST = """\
# my own words
name: kitchen
version: "2"      # counted by hand
licence: MIT
objects:
  # the first
  block:          # of wood
    mesh: block.ply
    unit: m
    up_axis: z

  # the second
  tile: {mesh: block.ply, unit: cm, up_axis: z}   # small
# the end
"""


@pytest.fixture
def kitchen(tmp_path):
    folder = tmp_path / "kitchen"
    folder.mkdir()
    (folder / "pack.yaml").write_text(MANIFEST)
    (folder / "block.ply").write_bytes(exported(box(), "ply"))
    return folder


def test_a_pack_that_is_there_is_extended_and_its_comments_stay(meshes, kitchen):
    folder = meshes({"can.ply": exported(can(), "ply")})
    before = load_pack(kitchen).mesh("block")
    pack = pack_with([folder], kitchen)
    text = (kitchen / "pack.yaml").read_text()
    assert text.startswith(MANIFEST.removesuffix("# the end\n"))
    assert text.endswith("# the end\n")
    assert pack.asset_names == ("kitchen/block", "kitchen/tile", "kitchen/can")
    assert (pack.mesh("block").vertices == before.vertices).all()


def test_an_object_is_replaced_only_if_asked_for(meshes, kitchen):
    folder = meshes({"block.ply": exported(can(), "ply"), "can.ply": exported(can(), "ply")})
    added = add_objects([folder], kitchen)
    assert [one.name for one in added.added] == ["can"]
    (problem,) = added.problems
    assert "has an object 'block' already" in problem
    assert np.ptp(load_pack(kitchen).mesh("block").vertices, axis=0)[0] == pytest.approx(0.1)
    replaced = pack_with([folder / "block.ply"], kitchen, AddingOptions(replace=True))
    assert np.ptp(replaced.mesh("block").vertices, axis=0)[0] == pytest.approx(0.06, abs=1e-4)
    text = (kitchen / "pack.yaml").read_text()
    assert "# the second\n  tile: {mesh: block.ply, unit: cm, up_axis: z}   # small\n" in text
    assert "# of wood" not in text
    assert set(replaced.asset_names) == {"kitchen/block", "kitchen/tile", "kitchen/can"}


def test_a_manifest_in_flow_style_can_be_extended(meshes, kitchen):
    document = yaml.safe_load(MANIFEST)
    (kitchen / "pack.yaml").write_text(yaml.safe_dump(document, default_flow_style=True))
    pack = pack_with([meshes({"can.ply": exported(can(), "ply")})], kitchen)
    assert pack.asset_names == ("kitchen/block", "kitchen/tile", "kitchen/can")


def test_good_meshes_are_added_and_each_bad_one_is_reported(meshes, tmp_path):
    folder = meshes({
        "good.ply": exported(box(), "ply"),
        "empty.stl": b"",
        "noise.glb": b"glTF" + bytes(100),
        "outside.obj": "mtllib ../../outside.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "missing.obj": "mtllib nothing.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "a/mug.ply": exported(can(), "ply"),
        "b/Mug.ply": exported(can(), "ply"),
    })  # fmt: skip
    (tmp_path / "outside.mtl").write_text("newmtl a\n")
    added = add_objects([folder], tmp_path / "pack")
    assert [one.name for one in added.added] == ["good"]
    assert len(added.problems) == 5
    problems = "\n".join(added.problems)
    for text in ("empty.stl", "noise.glb", "lies outside", "nothing.mtl", "2 meshes would be called 'mug'"):
        assert text in problems
    assert load_pack(tmp_path / "pack").asset_names == ("pack/good",)


def test_where_nothing_can_be_added_nothing_is_written(meshes, tmp_path):
    added = add_objects([meshes({"empty.stl": b""})], tmp_path / "pack")
    assert (added.pack, added.added, len(added.problems)) == (None, [], 1)
    assert not (tmp_path / "pack").exists()


def test_a_mesh_of_millions_of_faces_is_refused_soon(meshes, tmp_path):
    million = bytes(80) + np.uint32(5_000_000).tobytes() + bytes(1000)
    huge = "v 0 0 0\nv .1 0 0\nv 0 .1 0\n" + "f 1 2 3\n" * 400_000
    added = add_objects([meshes({"million.stl": million, "huge.obj": huge})], tmp_path / "pack")
    assert added.added == []
    assert len(added.problems) == 2


@pytest.mark.parametrize(
    ("files", "chosen", "expected"),
    [
        ({"readme.txt": "no mesh"}, ".", "holds no mesh"),
        ({"readme.txt": "no mesh"}, "readme.txt", "is not a mesh"),
        ({}, "nothing.obj", "no such file"),
    ],
)
def test_what_is_no_mesh_is_refused_at_once(meshes, tmp_path, files, chosen, expected):
    folder = meshes({".keep": "", **files})
    with pytest.raises(AssetError, match=expected):
        add_objects([folder / chosen], tmp_path / "pack")


def test_a_pack_cannot_have_the_name_of_a_shipped_one(meshes, tmp_path):
    with pytest.raises(AssetError, match="choose another folder"):
        add_objects([meshes({"a.ply": exported(box(), "ply")})], tmp_path / "crockery")


def test_a_folder_that_is_no_object_s_is_not_overwritten(meshes, kitchen):
    (kitchen / "can").mkdir()
    added = add_objects([meshes({"can.ply": exported(can(), "ply")})], kitchen)
    assert "is there already" in added.problems[0]
    assert list((kitchen / "can").iterdir()) == []


def test_a_pack_s_own_files_and_hidden_ones_are_no_sources(meshes, kitchen):
    folder = meshes({".hidden/a.ply": b"", ".b.ply": b"", "c.ply": b""})
    assert [source.path for source in mesh_sources([folder], kitchen)] == ["c.ply"]
    assert [s.path for s in mesh_sources([kitchen.parent], kitchen)] == ["meshes/c.ply"]


def test_fields_that_a_manifest_leaves_out_change_nothing(tmp_path):
    (tmp_path / "it.ply").write_bytes(exported(moved(box(), (0.1, 0.2, 0.3)), "ply"))
    pack = {"mesh": "it.ply", "unit": "m", "up_axis": "z"}
    assert ObjectSpec(**pack).model_dump(exclude_defaults=True) == pack
    written = ObjectSpec(**pack, scale=1, origin="file", supports=False)
    assert written == ObjectSpec(**pack)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"scale": 0}, "scale"),
        ({"origin": "top"}, "origin"),
        ({"resting_poses": [{"quaternion_xyzw": [0, 0, 0, 1], "probability": 0.5}]}, "sum 0.5"),
        ({"resting_poses": [{"quaternion_xyzw": [0, 0, 0, 2], "probability": 1}]}, "length 1"),
        ({"class": "No Name"}, "class"),
    ],
)
def test_fields_that_cannot_be_are_refused(kitchen, field, expected):
    document = yaml.safe_load(MANIFEST)
    document["objects"]["block"] |= field
    (kitchen / "pack.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(AssetError, match=expected):
        load_pack(kitchen)


def test_a_copy_of_a_pack_has_the_new_fields(meshes, kitchen, tmp_path):
    options = AddingOptions(category="tin", scale=2.0)
    pack = pack_with([meshes({"can.ply": exported(can(), "ply")})], kitchen, options)
    copy = pack.copy(tmp_path / "copy", ["can"])
    assert load_pack(tmp_path / "copy").manifest.objects["can"] == pack.manifest.objects["can"]
    assert (copy.mesh("can").vertices == pack.mesh("can").vertices).all()

"""What is odd about a pack is found, all at once, and what is in order is not."""

import json

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from solid_meshes import box, can, exported, moved, rotated

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.checking import check_pack
from inverse_graphics.packs.pack import shipped_packs

GOOD = {"mesh": "it.ply", "unit": "m", "up_axis": "z"}
BOX = {"symmetry": {"discrete": [{"axis": "z", "fold": 2}]}}
CAN = {"symmetry": {"continuous": "z"}}
CENTRED = moved(box(), (-0.01, 0, 0))


@pytest.fixture
def check(tmp_path):
    """Check a pack of solids: (severity, object, message) of what is found."""

    def run(objects, document=None):
        entries = {}
        for name, (solid, entry) in objects.items():
            (tmp_path / f"{name}.ply").write_bytes(exported(solid, "ply"))
            entries[name] = {**GOOD, "mesh": f"{name}.ply", "colour": [0.5, 0.4, 0.3], **entry}
        manifest = {"name": "own", "version": "1", "licence": "MIT", "objects": entries, **(document or {})}
        (tmp_path / "pack.yaml").write_text(json.dumps(manifest))  # YAML as well, without anchors
        return [(found.severity, found.object, found.message) for found in check_pack(tmp_path)]

    return run


def test_shipped_packs_have_no_errors_and_only_an_origin_that_is_meant():
    found = {pack: [each.message for each in check_pack(pack)] for pack in shipped_packs()}
    assert found["crockery"] == []
    (origin,) = found["primitives"]
    assert "50 % of its height" in origin


def test_good_objects_have_no_findings(check):
    assert check({"box": (CENTRED, BOX), "can": (can(), CAN)}) == []


def only(findings):
    (found,) = findings
    return found[0], found[2]


@pytest.mark.parametrize(
    ("size", "severity", "hint"),
    [
        (16.5, "warning", "it is 165 × 115 × 49.5 cm, with unit m: give it a scale"),
        (0.01, "error", "give it a scale"),
        (1000, "error", "with unit mm"),
    ],
)
def test_odd_sizes(check, size, severity, hint):
    solid = CENTRED.copy().apply_scale(size)
    found = only(check({"duck": (solid, BOX)}))
    assert found[0] == severity
    assert "it is " in found[1]
    assert hint in found[1]


def test_origins_at_mid_height_and_far_away(check):
    found = check({
        "middle": (moved(CENTRED, (0, 0, -0.015)), BOX),
        "meant": (moved(CENTRED.copy().apply_scale(1.5), (0, 0, 0)), {**BOX, "origin": "centre",
                  "symmetry": {"discrete": [{"axis": "z", "fold": 2}, {"axis": "x", "fold": 2}]}}),
        "far": (moved(can(0.02, 0.05), (0.5, 0, 0)), {}),
    })  # fmt: skip
    by_name = {name: text for _, name, text in found if "origin" in text}
    assert set(by_name) == {"middle", "far"}
    assert "1.5 cm above its lowest point (50 % of its height)" in by_name["middle"]
    assert "48 cm away from it" in by_name["far"]


def test_a_can_on_its_side_and_a_plate_on_its_edge(check):
    lying = rotated(can(), Rotation.from_euler("x", 90, degrees=True))
    edge = rotated(can(0.1, 0.02), Rotation.from_euler("x", 90, degrees=True))
    cone = rotated(trimesh.creation.cone(0.04, 0.06), Rotation.from_euler("x", -90, degrees=True))
    pyramid = rotated(
        trimesh.creation.cone(0.04, 0.03, sections=4), Rotation.from_euler("x", -90, degrees=True)
    )
    solids = {"can": lying, "plate": edge, "cone": cone, "pyramid": pyramid}
    found = {
        name: text
        for _, name, text in check({key: (value, {"origin": "base"}) for key, value in solids.items()})
        if "up_axis" in text
    }
    assert "round and lies on its side" in found["can"]
    assert "round and stands on its edge" in found["plate"]
    assert "on its" in found["cone"]
    assert "is up_axis 'y' right?" in found["pyramid"]


def test_open_inside_out_and_mixed_surfaces(check):
    inside_out = CENTRED.copy()
    inside_out.invert()
    lid_off = trimesh.Trimesh(CENTRED.vertices, CENTRED.faces[CENTRED.face_normals[:, 2] < 0.5])
    assert only(check({"it": (inside_out, BOX)})) == (
        "error",
        "it is inside out: its faces are seen from behind; flip them",
    )
    assert "its surface is open: 4 edges" in only(check({"it": (lid_off, BOX)}))[1]
    found = check(
        {"it": (trimesh.Trimesh(CENTRED.vertices, [*CENTRED.faces[1:], CENTRED.faces[0][::-1]]), BOX)}
    )
    assert any("turned the other way" in text for _, _, text in found)


def test_black_objects_and_too_many_faces(check):
    assert "100 % of it is black" in only(check({"it": (CENTRED, {**BOX, "colour": [0, 0, 0.01]})}))[1]
    fine = trimesh.creation.icosphere(6, 0.05)
    found = check({"it": (fine, {"symmetry": {"continuous": "any"}})})
    assert "it has 81,920 faces" in only(found)[1]


def test_objects_that_look_alike(check):
    found = check({
        "one": (CENTRED, BOX), "two": (CENTRED, BOX), "red": (CENTRED, {**BOX, "colour": [0.8, 0.1, 0.1]}),
        "large": (CENTRED.copy().apply_scale(1.2), BOX),
    })  # fmt: skip
    assert [(name, text) for _, name, text in found] == [
        ("two", "it looks like 'one': leave one out, or networks confuse them")
    ]


def test_symmetries_that_are_not_and_symmetries_that_are_not_stated(check):
    severity, text = only(check({"it": (CENTRED, {"symmetry": {"discrete": [{"axis": "z", "fold": 4}]}})}))
    assert (severity, text.partition(":")[0]) == ("error", "symmetry")
    assert "different after 1/4 of a rotation about z" in text
    severity, text = only(
        check({"it": (can(), {"symmetry": {"continuous": "z", "discrete": [{"axis": "x", "fold": 2}]}})})
    )
    assert severity == "error"
    assert "its origin is not on the axis" in text
    severity, text = only(check({"it": (can(), {})}))
    assert (severity, text.rpartition("symmetry: ")[2]) == ("warning", "{continuous: z}")
    found = check({"it": (CENTRED, {"symmetry": {"continuous": "z"}})})
    assert found[0][0] == "error"


def test_a_pose_in_which_it_does_not_rest(check):
    leaning = np.round(Rotation.from_euler("x", 40, degrees=True).as_quat(), 6).tolist()
    poses = [
        {"quaternion_xyzw": [0, 0, 0, 1], "probability": 0.6},
        {"quaternion_xyzw": leaning, "probability": 0.4},
    ]
    assert "does not rest in pose 2" in only(check({"it": (CENTRED, {**BOX, "resting_poses": poses})}))[1]


def test_six_mistakes_of_a_manifest_are_all_found_and_the_rest_is_checked(check, tmp_path):
    objects = {
        "mug": (CENTRED, {**BOX, "unit": "metre"}),
        "Cup 1": (CENTRED, BOX),
        "tin": (CENTRED, {**BOX, "colr": [1, 1, 1], "origin": "bottom", "scale": -1}),
        "pot": (CENTRED, {**BOX, "colour": [0.1, 0.2]}),
        "gone": (CENTRED, {**BOX, "mesh": "gone.glb"}),
        "duck": (CENTRED.copy().apply_scale(16), BOX),
    }
    found, folder = check(objects, {"licence": 7}), tmp_path
    errors = [(name, text) for severity, name, text in found if severity == "error"]
    assert errors == [
        ("", "licence is 7: expected text"),
        ("mug", "unit is 'metre': expected 'm', 'cm', 'mm' or 'inch'"),
        ("Cup 1", "the name is 'Cup 1': expected small letters, digits, - and _, at most 64"),
        ("tin", "scale is -1: expected more than 0"),
        ("tin", "origin is 'bottom': expected 'file', 'base' or 'centre' or a list"),
        ("tin", "unknown key 'colr': did you mean 'colour'?"),
        ("pot", "colour is [0.1, 0.2]: expected 3 numbers or more"),
        ("gone", f"gone.glb: file 'gone.glb' does not exist: expected it in the pack's folder {folder}"),
    ]  # fmt: skip
    assert [name for severity, name, _ in found if severity == "warning"] == ["duck"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "the manifest is []: expected a mapping of keys and values"),
        ("name: a\nversion: '1'\nlicence: x\n", "'objects' is missing: add it"),
        ("name: a\nversion: '1'\nlicence: x\nobjects: {}\n", "objects is {}: expected at least 1"),
        (
            "name: a\nversion: '1'\nlicence: x\nobjects: {b: 3}\n",
            "the name is 3: expected a mapping of keys and values",
        ),
    ],
)
def test_manifests_that_are_hardly_one(tmp_path, text, expected):
    (tmp_path / "pack.yaml").write_text(text)
    assert [found.message for found in check_pack(tmp_path)] == [
        expected.replace("the name is", "the entry is")
    ]


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(AssetError, match="no asset pack"):
        check_pack(tmp_path)
    (tmp_path / "pack.yaml").write_text("name: [")
    with pytest.raises(AssetError, match="not valid YAML"):
        check_pack(tmp_path)

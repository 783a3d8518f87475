"""assets add, check and show, from the command line."""

import io
import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from inverse_graphics.packs.pack import load_pack


@pytest.fixture
def meshes(tmp_path):
    """A folder with a can in millimetres, a box in metres and a file that is no mesh."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    trimesh.creation.cylinder(30, 100).export(folder / "can.stl")
    trimesh.creation.box((0.1, 0.07, 0.03)).export(folder / "box.ply")
    return folder


def image(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def test_meshes_become_a_pack_that_is_in_order_and_can_be_rendered(run, meshes, tmp_path):
    pack = tmp_path / "kitchen"
    added = run("assets", "add", meshes, "--to", pack, "--colour", "0.6,0.3,0.2", "--json", "-")
    assert added.status == 0
    records = {record["name"]: record for record in json.loads(added.out)}
    assert {name: record["unit"] for name, record in records.items()} == {"box": "m", "can": "mm"}
    assert records["can"]["manifest"]["symmetry"] == {"continuous": "z"}
    assert records["can"]["unit_guessed"]
    assert "licence unknown" in added.err
    checked = run("assets", "check", pack, "--json", "-")
    assert (checked.status, json.loads(checked.out)) == (0, [])
    assert {path.name for path in pack.iterdir()} == {
        "box", "can", "contact_sheet.png", "pack.yaml", "thumbnails"
    }  # fmt: skip
    scene = tmp_path / "scene.yaml"
    scene.write_text(
        "camera:\n  width_px: 32\n  height_px: 32\n"
        "  orbit: {azimuth_degrees: 0, elevation_degrees: 30, distance_m: 1}\n"
        "objects: [{asset: kitchen/can}]\n"
    )
    assert run("render", scene, "-o", tmp_path / "out.png", "--pack", pack).status == 0


def test_what_is_added_is_said(run, meshes, tmp_path):
    shown = run(
        "assets", "add", meshes / "can.stl", "--to", tmp_path / "p", "--name", "tin", "--class", "tin"
    )
    line, poses, grey = shown.out.splitlines()
    assert line.startswith("tin: 6.0 x 6.0 x 10.0 cm; unit mm, guessed from its size; z up; ")
    assert "any rotation about z" in poses
    assert "grey" in grey
    assert load_pack(tmp_path / "p").manifest.objects["tin"].category == "tin"


def test_a_bad_mesh_among_good_ones_is_reported_and_the_status_is_1(run, meshes, tmp_path):
    (meshes / "noise.glb").write_bytes(b"glTF")
    outcome = run("assets", "add", meshes, "--to", tmp_path / "pack")
    assert outcome.status == 1
    assert "noise.glb" in outcome.err
    assert load_pack(tmp_path / "pack").asset_names == ("pack/box", "pack/can")
    again = run("assets", "add", meshes / "box.ply", "--to", tmp_path / "pack")
    assert again.status == 1
    assert "--replace" in again.err
    assert run("assets", "add", meshes / "box.ply", "--to", tmp_path / "pack", "--replace").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--origin", "top"], 2, "base, centre, file"),
        (["--colour", "1,2,3"], 2, "three numbers from 0 to 1"),
        (["--unit", "feet"], 2, "unit"),
        (["--name", "two"], 1, "expected one mesh"),
        (["--name", "No Name"], 1, "expected one mesh"),
    ],
)
def test_options_that_cannot_be_are_refused(run, meshes, tmp_path, arguments, status, expected):
    outcome = run("assets", "add", meshes, "--to", tmp_path / "pack", *arguments)
    assert outcome.status == status
    assert expected in outcome.err
    assert not (tmp_path / "pack").exists()


def test_an_empty_folder_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = run("assets", "add", tmp_path / "empty", "--to", tmp_path / "pack")
    assert (outcome.status, outcome.out) == (1, "")
    assert "holds no mesh" in outcome.err


def test_check_says_every_mistake_on_a_line_of_its_own(run, tmp_path):
    (tmp_path / "pack.yaml").write_text(
        "name: Own\nversion: '1'\nobjects:\n  mug: {mesh: a.obj, unit: feet, up_axis: z, scal: 2}\n"
        "  cup: {mesh: none.obj, unit: m, up_axis: z}\n"
    )
    outcome = run("assets", "check", tmp_path)
    assert outcome.status == 1
    assert outcome.out.splitlines()[:4] == [
        "error: name is 'Own': expected small letters, digits, - and _, at most 64",
        "error: 'licence' is missing: add it",
        "error: mug: unit is 'feet': expected 'm', 'cm', 'mm' or 'inch'",
        "error: mug: unknown key 'scal': did you mean 'scale'?",
    ]
    assert "none.obj" in outcome.out
    assert outcome.err.strip().endswith("5 errors, 0 warnings")


def test_warnings_alone_are_no_failure(run):
    outcome = run("assets", "check", "primitives")
    assert outcome.status == 0
    assert outcome.out.startswith("warning: cylinder: its origin is 6 cm above")


@pytest.mark.parametrize("name", ["turn.gif", "turn.webp", "turn.png"])
def test_turntables_are_drawn(run, tmp_path, monkeypatch, name):
    monkeypatch.setattr("inverse_graphics.visualisation.asset_pictures.FRAMES", 4)
    outcome = run("assets", "show", "primitives/cube", "-o", tmp_path / name)
    assert outcome.status == 0
    picture = image(tmp_path / name)
    assert getattr(picture, "n_frames", 1) == (1 if name.endswith("png") else 4)
    pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    red = (pixels[:, 0] > 2 * pixels[:, 1] + 20) & (pixels[:, 0] > 2 * pixels[:, 2] + 20)
    assert red.mean() > 0.03


def test_an_object_is_shown_by_the_folder_of_its_pack(run, meshes, tmp_path):
    run("assets", "add", meshes, "--to", tmp_path / "kitchen")
    shown = json.loads(run("assets", "show", f"{tmp_path}/kitchen/box", "--json", "-").out)
    assert shown["asset"] == "kitchen/box"
    assert run("assets", "show", "box", "--pack", tmp_path / "kitchen", "-o", tmp_path / "a.png").status == 0
    bad = run("assets", "show", f"{tmp_path}/kitchen/box", "-o", tmp_path / "a.txt")
    assert bad.status == 1
    assert "suffix" in bad.err


@pytest.mark.parametrize("command", ["add", "check", "list", "show"])
def test_help_has_examples(run, command):
    shown = run("assets", command, "--help")
    assert shown.status == 0
    assert f"inverse-graphics assets {command}" in shown.out

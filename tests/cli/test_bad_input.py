"""Whatever people hand in, they get one clear line, exit status 1, and nothing half-written."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from inverse_graphics.io import images

SCENE = """\
camera:
  width_px: 32
  height_px: 24
  orbit: {azimuth_degrees: -60, elevation_degrees: 30, distance_m: 1.0}
objects:
  - asset: crockery/mug
"""
MANIFEST = """\
name: mine
version: "1"
licence: CC0
objects:
  thing: {mesh: thing.ply, unit: m, up_axis: z}
"""


def assert_one_line(outcome, *parts: str) -> None:
    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.err


def broken_images(folder: Path) -> dict[str, str]:
    whole = folder / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    (folder / "cut.png").write_bytes(whole.read_bytes()[:2000])
    (folder / "text.png").write_text("not an image")
    (folder / "zero.png").write_bytes(b"")
    Image.new("L", (1, 1)).save(folder / "one.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    (folder / "empty").mkdir()
    return {
        "missing.png": "no such file",
        "cut.png": "damaged or cut off",
        "text.png": "is not an image: expected",
        "zero.png": "is empty (0 bytes)",
        "one.png": "1×1 pixels: expected at least 8×8",
        "bomb.png": "expected at most 8192 pixels a side and 40 megapixels",
        "empty": "holds no image",
        "bad\nname.png": "no such file",
    }


@pytest.mark.parametrize(
    "name",
    ["missing.png", "cut.png", "text.png", "zero.png", "one.png", "bomb.png", "empty", "bad\nname.png"],
)
def test_images(run, tmp_path, model_folder, name):
    reason = broken_images(tmp_path)[name]
    outcome = run("infer", tmp_path / name, "--model", model_folder, "--json", tmp_path / "out.jsonl")
    assert outcome.err.count("\n") == 1
    assert outcome.status == 1
    assert reason in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", [["infer", "IMAGE", "--model"], ["models", "show"]])
def test_an_unknown_model(run, image_folder, command):
    arguments = [image_folder / "image-0.png" if part == "IMAGE" else part for part in command]
    assert_one_line(run(*arguments, "mulit_mnist"), "no model 'mulit_mnist'")


def truncate(folder: Path) -> str:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return "weights.safetensors"


def of_another_version(folder: Path) -> str:
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, "format_version": 99}))
    return "format version 99"


def of_another_kind(folder: Path) -> str:
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, "kind": "os.system"}))
    return "unknown kind of model 'os.system'"


def without_weights(folder: Path) -> str:
    (folder / "weights.safetensors").unlink()
    return "weights.safetensors"


def a_pickle(folder: Path) -> str:
    (folder / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    return "weights.safetensors"


@pytest.mark.parametrize("spoil", [truncate, of_another_version, of_another_kind, without_weights, a_pickle])
@pytest.mark.parametrize("command", [["infer", "IMAGE", "--json", "OUT", "--model"], ["models", "show"]])
def test_weights(run, tmp_path, model_folder, image_folder, spoil, command):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    reason = spoil(folder)
    paths = {"IMAGE": image_folder / "image-0.png", "OUT": tmp_path / "out.jsonl"}
    assert_one_line(run(*(paths.get(part, part) for part in command), folder), reason)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("camera: [1, 2", "not valid YAML: line 1"),
        ("", "got nothing at the top"),
        ("a: &a [x]\nb: [*a, *a]", "anchors and aliases are not allowed"),
        ("!!python/object/apply:os.system ['false']", "tag"),
        ("[" * 10_000, "scene.yaml"),
        (SCENE.replace("width_px: 32", "width_px: -1"), "width_px"),
        (SCENE.replace("width_px: 32", "width_px: .nan"), "width_px"),
        (SCENE.replace("width_px: 32", "width_px: 1000000"), "width_px"),
        (SCENE.replace("crockery/mug", "crockery/mog"), "has no object 'mog'"),
        (SCENE.replace("crockery/mug", "pottery/mug"), "no pack 'pottery'"),
        (SCENE.replace("crockery/mug", "../../etc/passwd"), "asset"),
        (SCENE + "colour: red\n", "colour"),
        (SCENE + "    position_m: [0, 0, .inf]\n", "position_m"),
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_scenes(run, tmp_path, text, reason):
    (tmp_path / "scene.yaml").write_text(text)
    assert_one_line(run("render", tmp_path / "scene.yaml", "-o", tmp_path / "out.png"), reason)
    assert not (tmp_path / "out.png").exists()


def test_scenes_that_are_not_there_or_not_text(run, tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x00")
    for name, reason in {"none.yaml": "no such file", "nothing": "no scene", "binary.yaml": "UTF-8"}.items():
        assert_one_line(run("render", tmp_path / name, "-o", tmp_path / "out.png"), reason)


def write_pack(folder: Path, vertices: np.ndarray, faces: list[list[int]], manifest: str = MANIFEST) -> Path:
    folder.mkdir()
    (folder / "pack.yaml").write_text(manifest)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    (folder / "thing.ply").write_bytes(trimesh.exchange.ply.export_ply(mesh))
    return folder


CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("vertices", "faces", "reason"),
    [
        (CORNERS, np.zeros((0, 3), int), "0 faces"),
        (np.where(CORNERS == 1, np.nan, CORNERS), [[0, 1, 2]], "finite"),
        (CORNERS, [[0, 1, 7]], "thing.ply"),
    ],
    ids=["no faces", "NaN vertices", "faces that point nowhere"],
)
def test_meshes(run, tmp_path, vertices, faces, reason):
    pack = write_pack(tmp_path / "pack", vertices, faces)
    assert_one_line(run("assets", "list", "--pack", pack), "thing", reason)
    (tmp_path / "scene.yaml").write_text(SCENE.replace("crockery/mug", "mine/thing"))
    arguments = ["render", tmp_path / "scene.yaml", "--pack", pack, "-o", tmp_path / "out.png"]
    assert_one_line(run(*arguments), "thing", reason)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("mesh", ["../secret.ply", "/etc/passwd", "link.ply", "none.ply"])
def test_manifests_that_point_outside_their_pack(run, tmp_path, mesh):
    pack = write_pack(tmp_path / "pack", CORNERS, [[0, 1, 2]], MANIFEST.replace("thing.ply", mesh))
    shutil.copy(pack / "thing.ply", tmp_path / "secret.ply")
    (pack / "link.ply").symlink_to(tmp_path / "secret.ply")
    assert_one_line(run("assets", "list", "--pack", pack), Path(mesh).name)


def test_unknown_assets(run):
    assert_one_line(run("assets", "show", "crockery/mog"), "has no object 'mog'", "mug")
    assert_one_line(run("assets", "show", "pottery/mug"), "no asset pack 'pottery'", "crockery")


def test_unknown_engines(run, tmp_path):
    outcome = run("render", "single_mug", "-o", tmp_path / "out.png", "--engine", "povray")
    assert_one_line(outcome, "unknown render engine 'povray'", "embedded")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here there is a GPU")
def test_a_device_that_is_not_there(run):
    assert_one_line(run("benchmark", "render", "--device", "cuda"), "no GPU that torch can use")


def test_pictures_that_are_too_large_or_have_no_known_suffix(run, tmp_path):
    assert_one_line(run("render", "crowded", "-o", tmp_path / "a.png", "--size", "4096x4096"), "smaller size")
    assert_one_line(run("render", "single_mug", "-o", tmp_path / "a.gif"), "expected one of .png")


def test_recipes(run, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: x\nsteps: many\n")
    assert_one_line(run("train", tmp_path / "bad.yaml"), "bad.yaml: steps")
    assert_one_line(run("train", "nothing"), "no recipe 'nothing'")
    assert_one_line(run("train", tmp_path / "none.yaml"), "no such file")
    (tmp_path / "good.yaml").write_text("name: x\nsteps: 1\n")
    assert_one_line(run("train", tmp_path / "good.yaml", "--set", "step=2"), "has no key 'step'")
    assert_one_line(run("train", tmp_path / "good.yaml", "--set", "steps"), "is not key=value")
    run_dir = ["--run-dir", tmp_path / "run", "--resume", "--set", "data.digits=shipped"]
    assert_one_line(run("train", tmp_path / "good.yaml", *run_dir), "no checkpoint to resume")


@pytest.mark.parametrize("option", ["-o", "--depth", "--mask", "--json"])
def test_a_disk_that_is_full(run, tmp_path, option, monkeypatch):
    """The disk fills up at the last file to be written: it is not there, not even half."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = ["render", "single_mug", "--size", "32x24", "-o", "/dev/null", option, tmp_path / "b.png"]
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setitem(images.FORMATS, "", "PNG")
    assert_one_line(run(*arguments), "cannot write", "the disk is full")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there(run, tmp_path):
    arguments = ["render", "single_mug", "--size", "32x24", "-o", tmp_path / "none" / "b.png"]
    assert_one_line(run(*arguments), "its folder does not exist")


def test_writing_json_where_nothing_can_be_written(run, tmp_path):
    for command in (["assets", "list"], ["models", "list"], ["doctor"]):
        outcome = run(*command, "--json", tmp_path / "none" / "out.json")
        assert outcome.status == 1
        assert outcome.err.count("\n") == 1
        assert "its folder does not exist" in outcome.err


def test_every_problem_of_a_manifest_a_recipe_a_family_and_a_scene_has_its_line(run, tmp_path):
    """Six mistakes in each file, six lines; each begins with the file and names the field."""
    files = {
        "pack.yaml": (
            "name: My\nversion: [1]\nlicense: CC0\n"
            "objects: {a: {mesh: a.obj, unit: yard, up_axis: w, scale: -1}}\n",
            ("assets", "list", "--pack", tmp_path),
            {"name", "version", "license", "licence", "objects.a.unit", "objects.a.up_axis"},
        ),
        "recipe.yaml": (
            "name: A B\nsteps: 0\nbatchsize: 3\noptimiser: {learning_rate: -1, decay: no}\nthreads: many\n",
            ("train", tmp_path / "recipe.yaml"),
            {"name", "steps", "batchsize", "optimiser.learning_rate", "optimiser.decay", "threads"},
        ),
        "family.yaml": (
            "kind: table_top\nreach: 1\nclearance_m: x\nkinds: []\n"
            "distance_m: [a, 2]\nimage_size: 3\nrepeats: 7\n",
            ("data", "make", tmp_path / "family.yaml", "--images", 1, "--out", tmp_path / "set"),
            {"reach", "clearance_m", "kinds", "distance_m.0", "image_size", "repeats"},
        ),
        "scene.yaml": (
            "objects: [{asset: mug}, {asset: a/b, scale: 0, tint: [2, 1, 1]}]\n"
            "wall: 1\ntable: {size_m: [0, 1]}\n",
            ("render", tmp_path / "scene.yaml", "-o", tmp_path / "a.png"),
            {"camera", "objects.0.asset", "objects.1.scale", "objects.1.tint.0", "wall", "table.size_m.0"},
        ),
    }
    for name, (text, command, fields) in files.items():
        (tmp_path / name).write_text(text)
        outcome = run(*command)
        assert outcome.status == 1, name
        lines = outcome.err.removeprefix("Error: ").splitlines()
        told = {line.removeprefix(f"{tmp_path / name}: ").partition(": ")[0] for line in lines}
        assert fields <= told, (name, lines)
        assert all(line.startswith(f"{tmp_path / name}: ") for line in lines)

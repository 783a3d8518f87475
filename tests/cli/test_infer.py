import errno
import json
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.inference.parser import SceneParser
from inverse_graphics.visualisation import overlay

FIELDS = {"image", "model", "count", "count_probabilities", "log_likelihood", "warning", "objects", "camera"}
OBJECT_FIELDS = {
    "box_px",
    "identity",
    "identity_probability",
    "position_m",
    "quaternion_xyzw",
    "T_camera_object",
    "position_std_m",
}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_one_object_per_image_with_the_fields_that_scripts_lean_on(run, model_folder, image_folder):
    outcome = run("infer", image_folder, "--model", model_folder, "--json", "-")
    assert outcome.status == 0
    assert outcome.err == ""
    answers = lines(outcome.out)
    assert [answer["image"] for answer in answers] == [str(p) for p in sorted(image_folder.iterdir())]
    for answer in answers:
        assert answer.keys() >= FIELDS
        assert answer["model"] == str(model_folder)
        assert answer["camera"] is None
        assert len(answer["objects"]) == answer["count"] < len(answer["count_probabilities"])
        assert answer["count"] == np.argmax(answer["count_probabilities"])
        assert sum(answer["count_probabilities"]) == pytest.approx(1, abs=1e-4)
        for found in answer["objects"]:
            assert found.keys() >= OBJECT_FIELDS
            assert len(found["box_px"]) == 4
            assert found["identity"] is None


def test_a_json_file_holds_what_stdout_would_and_people_get_a_table(
    run, tmp_path, model_folder, image_folder
):
    file = tmp_path / "parses.jsonl"
    outcome = run("infer", image_folder, "--model", model_folder, "--json", file)
    assert outcome.status == 0
    assert file.read_text() == run("infer", image_folder, "--model", model_folder, "--json", "-").out
    header, *rows = outcome.out.splitlines()
    assert header.split()[:4] == ["image", "count", "probability", "log-likelihood"]
    assert len(rows) == 3
    for row, answer in zip(rows, lines(file.read_text()), strict=True):
        assert re.search(rf"\S*image-\d\.png +{answer['count']} +[<>0-9.]+% +-?[0-9,.]+", row)


def test_a_bad_file_among_good_ones_is_reported_and_the_others_are_answered(
    run, tmp_path, model_folder, image_folder
):
    (image_folder / "image-1.png").write_bytes(b"")
    (image_folder / "image-1b.png").write_text("no image")
    outcome = run("infer", image_folder, "--model", model_folder, "--json", tmp_path / "out.jsonl")
    assert outcome.status == 1
    reported = outcome.err.splitlines()
    assert len(reported) == 2
    assert "image-1.png is empty" in reported[0]
    assert "image-1b.png is not an image" in reported[1]
    answered = [answer["image"][-11:] for answer in lines((tmp_path / "out.jsonl").read_text())]
    assert answered == ["image-0.png", "image-2.png"]


def test_images_beyond_one_batch_are_all_answered_in_order(run, tmp_path, model_folder):
    for index in range(300):
        Image.new("L", (10, 10), index % 256).save(tmp_path / f"{index:04}.png")
    outcome = run("infer", tmp_path, "--model", model_folder, "--json", "-")
    assert [answer["image"][-8:] for answer in lines(outcome.out)] == [
        f"{index:04}.png" for index in range(300)
    ]


def test_one_image_gets_one_overlay(run, tmp_path, model_folder, image_folder):
    target = tmp_path / "seen.png"
    outcome = run("infer", image_folder / "image-0.png", "--model", model_folder, "--overlay", target)
    assert outcome.status == 0
    with Image.open(target) as picture:
        assert picture.size == (400, 400)


def test_several_images_get_a_sheet_or_a_folder(run, tmp_path, model_folder, image_folder):
    assert run("infer", image_folder, "--model", model_folder, "--overlay", tmp_path / "all.png").status == 0
    with Image.open(tmp_path / "all.png") as sheet:
        assert min(sheet.size) > 500
    twice = [image_folder, image_folder / "image-0.png"]
    assert run("infer", *twice, "--model", model_folder, "--overlay", tmp_path / "each").status == 0
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == [
        "image-0-2.png",
        "image-0.png",
        "image-1.png",
        "image-2.png",
    ]


def test_a_3d_model_answers_with_poses_pairs_of_pictures_and_scenes(run, tmp_path, scene_model, image_folder):
    outcome = run(
        "infer", image_folder, "--model", scene_model, "--json", tmp_path / "out.jsonl",
        "--overlay", tmp_path / "seen", "--scenes", tmp_path / "scenes",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "crockery/mug" in outcome.out
    for answer in lines((tmp_path / "out.jsonl").read_text()):
        assert len(answer["objects"]) == answer["count"] == 1
        assert all(answer["objects"][0][name] is not None for name in OBJECT_FIELDS)
        stem = answer["image"][-11:-4]
        with Image.open(tmp_path / "seen" / f"{stem}.png") as picture:
            assert picture.width > 1.5 * picture.height or stem == "image-2"
        drawn = run("render", tmp_path / "scenes" / f"{stem}.yaml", "-o", tmp_path / "a.png", "--json", "-")
        facts = json.loads(drawn.out)
        assert [found["asset"] for found in facts["objects"]] == ["crockery/mug"]
        assert facts["camera"]["K"] == answer["camera"]["K"]
        with Image.open(answer["image"]) as image, Image.open(tmp_path / "a.png") as again:
            assert image.size == again.size


def test_a_2d_model_has_no_scenes_to_write(run, tmp_path, model_folder, image_folder):
    outcome = run("infer", image_folder, "--model", model_folder, "--scenes", tmp_path / "scenes")
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert "infers 2D boxes, not scenes" in outcome.err


def test_too_many_images_for_one_sheet_is_one_line(run, tmp_path, model_folder, image_folder, monkeypatch):
    monkeypatch.setattr(overlay, "LARGEST_SHEET", 2)
    outcome = run("infer", image_folder, "--model", model_folder, "--overlay", tmp_path / "all.png")
    assert outcome.status == 1
    assert "name a folder" in outcome.err
    assert outcome.err.count("\n") == 1


def test_when_interrupted_nothing_half_written_is_left(
    run, tmp_path, model_folder, image_folder, monkeypatch
):
    parse_stream = SceneParser.parse_stream

    def interrupted_after_the_first(self, images):
        yield next(parse_stream(self, images))
        raise KeyboardInterrupt

    monkeypatch.setattr(SceneParser, "parse_stream", interrupted_after_the_first)
    before = set(tmp_path.rglob("*"))
    outcome = run("infer", image_folder, "--model", model_folder, "--json", tmp_path / "out.jsonl")
    assert outcome.status == 130
    assert len(outcome.out.splitlines()) == 2
    assert set(tmp_path.rglob("*")) == before


def test_a_disk_that_is_full_leaves_no_half_file(run, tmp_path, model_folder, image_folder, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = set(tmp_path.rglob("*"))
    for option in ("--json", "--overlay"):
        outcome = run("infer", image_folder, "--model", model_folder, option, tmp_path / "out.png")
        assert outcome.status == 1
        assert outcome.err.count("\n") == 1
        assert "the disk is full" in outcome.err
    assert set(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_one_line(run, tmp_path):
    outcome = run("infer", tmp_path)
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert "holds no image" in outcome.err


def test_an_overlay_never_replaces_an_input(run, tmp_path, model_folder):
    one = tmp_path / "one.png"
    for path in (one, tmp_path / "two.png"):
        Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for images, option, target in [
        (tmp_path, "--overlay", tmp_path),
        (one, "--overlay", one),
        (one, "--json", one),
    ]:
        outcome = run("infer", images, "--model", model_folder, option, target)
        assert outcome.status == 1
        assert "would replace input images" in outcome.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run("infer", tmp_path, "--model", model_folder, "--overlay", tmp_path / "seen").status == 0
    assert {path.name for path in (tmp_path / "seen").iterdir()} == set(before)


def test_an_image_from_a_pipe_has_an_overlay(tmp_path, model_folder):
    Image.fromarray(np.full((50, 50, 3), 90, np.uint8)).save(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()

    def overlay_of(image):
        arguments = ["infer", str(image), "--model", str(model_folder), "--overlay", f"{tmp_path}/seen.png"]
        code = f"import sys; from inverse_graphics.cli.main import main; sys.exit(main({arguments!r}))"
        subprocess.run([sys.executable, "-c", code], input=content, check=True, capture_output=True)
        return (tmp_path / "seen.png").read_bytes()

    assert overlay_of("/dev/stdin") == overlay_of(tmp_path / "one.png")

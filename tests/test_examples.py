"""The scripts in examples/ run, offline and without a warning, and write what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import inverse_graphics as ig
from inverse_graphics.rendering.conformance import CHECKS

FOLDER = Path(__file__).parents[1] / "examples"
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def run(name: str, out: Path, *arguments: str) -> str:
    """What an example prints; it finds no downloaded data, and no network."""
    environment = os.environ | NOWHERE | {"INVERSE_GRAPHICS_DATA": str(out.parent / "no data")}
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), str(out), *arguments]
    done = subprocess.run(
        command, cwd=out.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # nothing beside the folder
    return done.stdout


def test_every_example_is_tried_here():
    tried = set(re.findall(r'run\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert tried == {file.stem for file in FOLDER.glob("*.py")}


def test_render(tmp_path):
    out = tmp_path / "out"
    printed = run("render_scene", out)
    scene = ig.load_scene(out / "tea.yaml")
    assert [placed.asset for placed in scene.objects] == ["crockery/mug", "crockery/plate"]
    picture = ig.render(scene)
    np.testing.assert_allclose(ig.read_image(out / "tea.png"), picture.image, atol=0.003)
    assert ig.read_image(out / "breakfast.png").shape == (120, 160, 3)
    for number, pixels in enumerate(picture.visible_pixels(), start=1):
        assert f"has the mask {number} and {pixels} visible pixels" in printed
    assert {path.name for path in out.iterdir()} >= {"depth.png", "mask.png"}


def test_infer(tmp_path):
    out = tmp_path / "out"
    printed = run("infer_scene", out)
    parse = json.loads((out / "parse.json").read_text())
    assert parse["count"] == 3
    scene = ig.load_scene(out / "scene.yaml")
    assert [placed.asset for placed in scene.objects] == [found["identity"] for found in parse["objects"]]
    assert ig.read_image(out / "again.png").shape == ig.read_image(FOLDER.parent / "docs" / "table.png").shape
    from_file, from_bytes, mirrored = re.findall(r"Parse\('\w+', (.*)\) warning: None", printed)
    assert from_file == from_bytes != mirrored


def test_search(tmp_path):
    out = tmp_path / "out"
    printed = run("search_scene", out, "1", "6")
    (match,) = re.findall(r"([\d,]+) nats before, ([\d,]+) nats after", printed)
    before, after = (int(number.replace(",", "")) for number in match)
    assert after >= before
    assert ig.load_scene(out / "best.yaml").objects
    assert (out / "best.png").is_file()


def test_pack(tmp_path):
    out = tmp_path / "out"
    sizes = ["workshop/block 120×80×50 mm", "workshop/ring 100×100×20 mm"]
    assert run("own_pack", out).splitlines() == sizes
    pack = ig.load_pack(out / "workshop")
    scene = ig.load_scene(out / "workshop.yaml")
    picture = ig.render(scene, packs=[pack], size=(320, 240))
    np.testing.assert_allclose(ig.read_image(out / "workshop.png"), picture.image, atol=0.003)
    assert all(pixels > 100 for pixels in picture.visible_pixels())


def test_train(tmp_path):
    out = tmp_path / "out"
    printed = run("train_model", out, "4")
    loaded = ig.load_model(out / "run" / "weights")
    assert loaded.document.recipe is not None
    assert loaded.document.recipe["steps"] == 4
    assert printed.startswith("step 4 ELBO ")
    assert "digits.png: " in printed


def test_engine(tmp_path):
    out = tmp_path / "out"
    printed = run("write_engine", out)
    assert re.findall(r"passed: (\w+)", printed) == [check.__name__ for check in CHECKS]
    (difference,) = re.findall(r"from the embedded engine: (\S+)", printed)
    assert float(difference) < 2e-3
    assert ig.read_image(out / "brute_force.png").shape == (72, 96, 3)


def test_estimator(tmp_path):
    out = tmp_path / "out"
    run("write_estimator", out)
    report = (out / "report.txt").read_text()
    deviation = float(re.findall(r"gradient: (\S+) standard errors", report)[0])
    assert 0.5 < deviation < 2
    elbo = [float(value) for value in re.findall(r"steps: (\S+) nats", report)]
    assert len(elbo) == 4
    assert elbo[-1] > elbo[0]

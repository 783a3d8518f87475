"""What the documentation shows is valid."""

import re
from pathlib import Path

import pytest

from inverse_graphics.errors import AssetError, SceneError
from inverse_graphics.io.documents import parse_yaml, validated
from inverse_graphics.packs.pack import Manifest, load_pack
from inverse_graphics.scene.scene import Camera, Scene
from inverse_graphics.scene.scene_file import shipped_scenes

DOCS = Path(__file__).parents[2] / "docs"


def yaml_blocks(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    return [
        parse_yaml(block, name, SceneError) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]


def test_the_scene_and_every_form_of_camera():
    scene, forms = yaml_blocks("scenes.md")
    assert len(validated(Scene, scene, "scenes.md", SceneError).objects) == 2
    size = {"width_px": 256, "height_px": 256}
    for names in (("orbit",), ("look_at",), ("K", "T_world_camera")):
        validated(Camera, {**size, **{name: forms[name] for name in names}}, "scenes.md", SceneError)


def test_the_shipped_scenes_are_listed():
    text = (DOCS / "scenes.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in shipped_scenes())


def test_the_manifest(tmp_path):
    document, *_ = yaml_blocks("assets.md")
    validated(Manifest, document, "assets.md", AssetError)
    (tmp_path / "pack.yaml").write_text(str(document), encoding="utf-8")  # a mapping in flow style
    assert len(load_pack(tmp_path).symmetry("block").discrete) == 4


def test_the_tutorials(tmp_path):
    (scene,) = yaml_blocks("tutorials/render.md")
    assert validated(Scene, scene, "render.md", SceneError).objects
    text = (DOCS / "tutorials" / "pack.md").read_text(encoding="utf-8")
    for name, language in (("box.obj", "text"), ("pack.yaml", "yaml")):
        (block,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        (tmp_path / name).write_text(block, encoding="utf-8")
    corners = load_pack(tmp_path).mesh("box").vertices
    assert (corners.max(0) - corners.min(0)).tolist() == pytest.approx([0.12, 0.08, 0.05])

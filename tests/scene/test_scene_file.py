"""Scenes in files: exact there and back; files of strangers refused with one line, soon."""

import errno
import json
import os
import random
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from inverse_graphics.errors import SceneError, StorageError
from inverse_graphics.packs.pack import load_library
from inverse_graphics.scene.scene import Background, Camera, Light, Scene, SceneObject, Table
from inverse_graphics.scene.scene_file import find_scene, load_scene, save_scene, shipped_scenes

shares = st.floats(0, 1)
colours = st.tuples(shares, shares, shares)
strengths = st.floats(0, 10)
metres = st.floats(-1000, 1000)
points = st.tuples(metres, metres, metres)
axes = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: max(map(abs, v)) > 1e-3)
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda v: max(map(abs, v)) > 1e-3)
lengths = st.floats(1e-6, 1000)
objects = st.builds(
    SceneObject,
    asset=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}/[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True),
    position_m=points,
    quaternion_xyzw=quaternions,
    scale=st.floats(0.001, 1000),
    tint=colours,
)
cameras = st.builds(
    lambda w, h, azimuth, elevation, distance, target: Camera.model_validate(
        {
            "width_px": w,
            "height_px": h,
            "orbit": {
                "azimuth_degrees": azimuth,
                "elevation_degrees": elevation,
                "distance_m": distance,
                "target_m": target,
            },
        }
    ),
    st.integers(1, 4096),
    st.integers(1, 4096),
    st.floats(-1e4, 1e4),
    st.floats(-90, 90),
    lengths,
    points,
)
scenes = st.builds(
    Scene,
    camera=cameras,
    objects=st.lists(objects, max_size=4).map(tuple),
    light=st.builds(
        Light,
        direction=axes,
        diffuse=st.tuples(strengths, strengths, strengths),
        ambient=st.tuples(strengths, strengths, strengths),
    ),
    table=st.none() | st.builds(Table, size_m=st.tuples(lengths, lengths), colour=colours),
    background=st.builds(Background, colour=colours),
)


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json", "JSON"])
@settings(max_examples=25, deadline=None)
@given(scene=scenes)
def test_what_is_written_is_read_back_exactly(tmp_path_factory, suffix, scene):
    path = tmp_path_factory.mktemp("scene") / f"scene.{suffix}"
    save_scene(scene, path)
    assert load_scene(path) == scene


def test_shipped_scenes_are_found_by_name_and_use_shipped_assets():
    assert {"breakfast", "single_mug", "primitives", "crowded", "calibrated", "row"} == set(shipped_scenes())
    for name in shipped_scenes():
        scene = load_scene(name)
        assert scene == load_scene(find_scene(name))
        assert len(load_library(item.asset for item in scene.objects).names) >= 1
        assert find_scene(name).read_text().startswith("#")


def test_a_file_of_the_same_name_does_not_hide_a_shipped_scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breakfast").mkdir()
    assert len(load_scene("breakfast").objects) == 4


BOMB = "a: &a0 [x, x]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(60))
GOOD = "camera: {width_px: 8, height_px: 8, look_at: {eye_m: [1, 1, 1]}}\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.yaml", b"", "a.yaml"),
        ("a.yaml", b"# nothing but a comment\n", "got nothing at the top, expected a mapping"),
        ("a.json", b"", "a.json"),
        ("a.yaml", b"- camera\n- objects\n", "got a list at the top, expected a mapping with 'camera'"),
        ("a.json", b"[1]", "got a list at the top"),
        ("a.yaml", b"just words", "got text at the top"),
        ("a.yaml", b"42", "got a number at the top"),
        ("a.yaml", b"\xff\xfe\x00c", "UTF-8"),
        ("a.yaml", GOOD.encode("utf-16"), "UTF-8"),
        ("a.yaml", b"camera: [1, 2\n", "line "),
        ("a.yaml", b"camera:\n\t- tab\n", "line "),
        ("a.json", b'{"camera": ', "line 1"),
        ("a.json", b'{"camera": NaN}', "NaN"),
        ("a.yaml", GOOD.encode() * 2, "'camera' appears twice"),
        ("a.json", b'{"camera": 1, "camera": 2}', "'camera' appears twice"),
        ("a.yaml", b"camera: !!python/object/apply:os.system ['touch owned']\n", "tag"),
        ("a.yaml", b"!!python/object/new:inverse_graphics.scene.scene.Scene {}\n", "tag"),
        ("a.yaml", b"a: &a [x]\nb: *a\n", "aliases"),
        ("a.yaml", b"a: &a {b: *a}\n", "aliases"),
        ("a.yaml", BOMB.encode(), "aliases"),
        ("a.yaml", b"a: " + b"[" * 100_000, "nested deeper"),
        ("a.yaml", b"a: " + b"{a: " * 5000, "nested deeper"),
        ("a.json", b'{"a": ' + b"[" * 100_000, "not valid JSON"),
        ("a.json", b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
        ("a.yaml", b"a: " + b"9" * 10_000 + b"\n", "a.yaml"),
        ("a.json", b'{"a": ' + b"9" * 10_000 + b"}", "a.json"),
        ("a.yaml", b"---\na: 1\n---\nb: 2\n", "second document"),
        ("a.yaml", b"? [a, b]\n: 1\n", "key"),
        ("a.yaml", b"a: \x00\n", "a.yaml"),
        ("a.yaml", (GOOD + "objects: " + "[" + "{asset: a/b}, " * 65 + "]").encode(), "at most 64"),
        ("a.yaml", (GOOD + "wall: 1\n").encode(), "wall: unknown field"),
    ],
)  # fmt: skip
def test_broken_and_hostile_files_are_refused_with_one_line(tmp_path, monkeypatch, name, content, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(SceneError) as caught:
        load_scene(name)
    assert time.perf_counter() - start < 2
    line = str(caught.value)
    assert expected in line
    assert name in line
    assert "\n" not in line
    assert len(line) < 500
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_large_files_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    start = time.perf_counter()
    with pytest.raises(SceneError, match="larger than"):
        load_scene(path)
    assert time.perf_counter() - start < 0.5


def test_random_damage_never_ends_in_anything_but_a_scene_or_one_line(tmp_path):
    rng = random.Random(0)
    lines = []
    for suffix in (".yaml", ".json"):
        path = tmp_path / f"scene{suffix}"
        save_scene(load_scene("row"), path)
        good = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.choice(b"\0\n:{}[]&*!'\"#-9x\xff ")
            path.write_bytes(damaged)
            try:
                load_scene(path)
            except SceneError as problem:
                lines.append(str(problem))
    assert len(lines) > 50
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize("name", ["nowhere.yaml", "breakfst", "folder.yaml", "scene.txt", "", "../x.toml"])
def test_files_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SceneError) as caught:
        load_scene(name)
    assert name in str(caught.value)
    if name == "breakfst":
        assert "did you mean breakfast? expected breakfast, calibrated" in str(caught.value)


def test_writing_leaves_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "scene.yaml"
    path.write_text("what was there before")

    def full_disk(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match="disk is full"):
        save_scene(load_scene("breakfast"), path)
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SceneError, match=r"expected the suffix \.yaml, \.yml or \.json"):
        save_scene(load_scene("breakfast"), tmp_path / "scene.png")
    assert not list(tmp_path.iterdir())


def test_files_are_plain_yaml_and_json_for_others_to_read(tmp_path):
    for suffix, load in ((".yaml", yaml.safe_load), (".json", json.loads)):
        path = tmp_path / f"scene{suffix}"
        save_scene(load_scene("breakfast"), path)
        document = load(path.read_text())
        assert document["objects"][0]["asset"] == "crockery/plate"

"""Open3D and MuJoCo beside the embedded engine, and the message where they are missing.

What needs one of them is skipped, visibly, where it is not installed.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import cube, library, light, looking_down, one_object, random_scenes

from inverse_graphics.benchmarks.gradients import benchmark_gradients
from inverse_graphics.benchmarks.scenes import table_top_scenes
from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.conformance.shapes import box, card, mesh
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import (
    available_engines,
    make_differentiable_engine,
    make_engine,
    with_samples,
)
from inverse_graphics.rendering.finite_difference.steps import DifferenceSettings
from inverse_graphics.rendering.installation import why_not
from inverse_graphics.rendering.mujoco import gl_faces
from inverse_graphics.rendering.rendering import render
from inverse_graphics.rendering.sampled import engine as sampled_engine
from inverse_graphics.rendering.sampled.engine import EXACT, NEAR, SampledEngine
from inverse_graphics.rendering.sampled.windows import Vertices, Windows
from inverse_graphics.rendering.supersampled import Supersampled
from inverse_graphics.scene.batch import SceneBatch, TableBatch

STATUS = {engine.name: engine for engine in available_engines()}


def needs(name: str) -> object:
    status = STATUS[name]
    return pytest.param(name, marks=pytest.mark.skipif(not status.works, reason=f"{name}: {status.reason}"))


SAMPLED = [needs("open3d"), needs("mujoco")]


@pytest.mark.parametrize("name", SAMPLED)
def test_pictures_are_the_embedded_engine_s_at_as_many_samples(name):
    """Crockery on a table: the same image, depth and mask but where an edge falls beside a sample."""
    meshes = load_pack("crockery").library()
    scenes = table_top_scenes(8, 64, 64, meshes)
    found = render(scenes, make_engine(name, meshes))
    expected = render(scenes, Supersampled(EmbeddedEngine(meshes), 3))
    assert (found.image - expected.image).abs().mean() < 2e-3
    assert (found.alpha - expected.alpha).abs().mean() < 2e-3
    alike = found.instance_mask == expected.instance_mask
    assert alike.double().mean() > 0.998
    near = (found.depth / expected.depth - 1).abs()[alike & expected.depth.isfinite()]
    assert near.median() < 1e-4


@pytest.mark.parametrize("name", SAMPLED)
def test_a_window_holds_all_there_is_to_see(name):
    """What is seen through windows is what is seen when windows are the whole image."""
    meshes = library()
    scenes = random_scenes(meshes, 4, 3, 40, seed=4, distance=0.5)
    engine = make_engine(name, meshes)
    assert isinstance(engine, SampledEngine)
    windows = Windows.from_objects(
        scenes.objects.to(*EXACT),
        scenes.camera.to(*EXACT),
        scenes.light.to(*EXACT),
        2,
        Vertices.from_library(meshes),
        NEAR,
    )
    whole = np.tile([0, 0, 40, 40], (len(windows.layer), 1))
    wide = Windows(2, windows.layer, windows.mesh, windows.rows, whole, windows.depth, 6400 * np.arange(13))
    seen = engine.finder.find(windows)
    for layer, faces in enumerate(engine.finder.find(wide).reshape(-1, 40, 2, 40, 2)):
        left, top, width, height = windows.box[layer]
        inside = faces[top : top + height, :, left : left + width]
        part = seen[windows.first[layer] : windows.first[layer + 1]].reshape(inside.shape)
        assert (inside == part).mean() > 0.999
        assert (inside >= 0).sum() == (faces >= 0).sum() > 0


@pytest.mark.parametrize("name", SAMPLED)
def test_large_pictures_are_drawn_in_pieces_that_fit(name, monkeypatch):
    """Blocks of windows, strips of one window and tiles of a buffer leave no seams."""
    meshes = library()
    scenes = random_scenes(meshes, 2, 2, 220, seed=5, distance=0.4)
    engine = make_engine(name, meshes)
    whole = engine.layers(scenes.objects, scenes.camera, scenes.light)
    monkeypatch.setattr(sampled_engine, "BATCH_SIZE", 20_000)
    pieces = engine.layers(scenes.objects, scenes.camera, scenes.light)
    assert (whole.alpha - pieces.alpha).abs().mean() < 1e-4
    assert (whole.rgb - pieces.rgb).abs().mean() < 1e-4


@pytest.mark.parametrize("name", SAMPLED)
def test_gradients_by_differences_point_where_the_embedded_engine_s_do(name):
    """Three objects that hide each other and themselves, half a pixel, the image blurred by one."""
    rows = {
        row.of: row for row in benchmark_gradients((name,), objects=(3,), scenes=12) if row.loss == "blur"
    }
    for row in rows.values():
        assert row.engine == f"Δ{name}"
        assert row.median > 0.99
        assert row.like_embedded > 0.98
    assert rows["objects"].share_good > 0.9
    assert rows["objects"].like_embedded_share > 0.9


@pytest.mark.parametrize("name", SAMPLED)
def test_an_engine_survives_a_journey_to_another_process(name):
    meshes = library()
    scenes = random_scenes(meshes, 2, 2, 24, seed=6)
    engine: RenderEngine = make_engine(name, meshes)
    other = pickle.loads(pickle.dumps(engine))
    for one, two in zip(
        *(each.layers(scenes.objects, scenes.camera, scenes.light) for each in (engine, other)), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("name", SAMPLED)
def test_meshes_without_faces_and_meshes_of_three_corners_are_drawn_as_what_they_are(name):
    nothing = mesh(np.zeros((3, 3)), [[0, 1, 2]])
    corner = mesh(np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.3, 0]]), [[0, 2, 1]])
    meshes = MeshLibrary.from_meshes([("nothing", nothing), ("corner", corner), ("card", card())])
    engine = make_engine(name, meshes)
    place = torch.zeros(1, 3)
    areas = [
        float(
            engine.layers(
                one_object(place, asset=m),
                looking_down(1, 48).to("cpu", torch.float32),
                light(1, torch.float32),
            ).alpha.sum()
        )
        for m in range(3)
    ]
    assert areas[0] == 0
    assert areas[1] == pytest.approx(0.045 * 48**2, rel=0.06)
    assert areas[2] == pytest.approx(0.04 * 48**2, rel=0.06)  # its sides lie between samples


def test_samples_are_chosen_and_bounded():
    engine = make_differentiable_engine("embedded", library(), samples=2)
    assert engine.name == "embedded×2"
    if STATUS["open3d"].works:
        differences = make_differentiable_engine(
            "open3d", library(), samples=2, settings=DifferenceSettings(step_px=1)
        )
        assert differences.name == "Δopen3d"
        with pytest.raises(EngineError, match="17 samples"):
            make_differentiable_engine("open3d", library(), samples=17)


def test_engines_are_forgotten_and_used_in_whatever_thread():
    """Also in that of OpenGL itself, where nobody could be waited for."""
    if not STATUS["mujoco-shadows"].works:
        pytest.skip(STATUS["mujoco-shadows"].reason)
    meshes, thread = library(), gl_faces.gl_thread()
    scenes = random_scenes(meshes, 1, 1, 16, seed=8)
    engines = [make_engine("mujoco", meshes) for _ in range(3)]
    thread.run(engines.clear)
    engine = make_engine("mujoco", meshes)
    drawn = []
    other = threading.Thread(
        target=lambda: drawn.append(engine.layers(scenes.objects, scenes.camera, scenes.light))
    )
    other.start()
    other.join(30)
    here = engine.layers(scenes.objects, scenes.camera, scenes.light)
    torch.testing.assert_close(drawn[0].rgb, here.rgb, rtol=0, atol=0)


@pytest.mark.skipif(not STATUS["mujoco"].works, reason=STATUS["mujoco"].reason)
def test_a_camera_that_mujoco_cannot_have_is_refused():
    if STATUS["mujoco"].reason:
        pytest.skip(STATUS["mujoco"].reason)
    camera = looking_down(1, 32)
    K = camera.K.clone()
    K[:, 0, 1] = 5.0
    with pytest.raises(EngineError, match="skew"):
        make_engine("mujoco", library()).layers(
            one_object(torch.zeros(1, 3, dtype=torch.float64)), replace(camera, K=K), light(1)
        )


@pytest.fixture
def shadowed() -> SceneBatch:
    """A cube above a table, seen from above, lit from the left at 45°."""
    if not STATUS["mujoco-shadows"].works:
        pytest.skip(STATUS["mujoco-shadows"].reason)
    shine = light(1)
    towards = torch.tensor([[-1.0, 0.0, 1.0]], dtype=torch.float64) / 2**0.5
    return SceneBatch(
        one_object(torch.tensor([[0.0, 0.0, 0.1]], dtype=torch.float64)),
        looking_down(1, 64),
        replace(shine, direction=towards),
        TableBatch(
            torch.full((1, 2), 0.8, dtype=torch.float64), torch.full((1, 3), 0.5, dtype=torch.float64)
        ),
        torch.full((1, 3), 0.9, dtype=torch.float64),
    )


def test_a_shadow_falls_where_the_light_is_kept_away(shadowed):
    """Light from the left at 45°: an object 0.1 m above the table throws its shadow 0.1 m to the right."""
    meshes = MeshLibrary.from_meshes([("cube", box((0.1, 0.1, 0.02)))])
    lit = render(shadowed, make_engine("mujoco", meshes)).image[0, 0]
    image = render(shadowed, make_engine("mujoco-shadows", meshes)).image[0, 0]
    darker = (lit - image) / (0.5 * 0.6 / 2**0.5)
    rows, columns = (darker.sum(dim=1 - axis) @ torch.arange(64.0).double() for axis in (0, 1))
    area = float(darker.sum())
    assert float(rows) / area + 0.5 == pytest.approx(32, abs=0.5)
    assert float(columns) / area + 0.5 == pytest.approx(32 + 0.108 * 64, abs=0.5)
    # from 0.04 to 0.16 m, of which the object, which is nearer to the camera, hides all before 0.056 m
    assert area == pytest.approx(0.104 * 0.1 * 64**2, rel=0.15)
    assert float(darker.max()) == pytest.approx(1, abs=0.02)
    assert float(darker.min()) > -0.02


def test_finer_shadows_are_the_same_shadows(shadowed):
    meshes = MeshLibrary.from_meshes([("cube", box((0.1, 0.1, 0.02)))])
    engine = make_engine("mujoco-shadows", meshes)
    coarse, fine = (render(shadowed, each).image for each in (engine, with_samples(engine, 6)))
    assert 0 < float((coarse - fine).abs().mean()) < 2e-3


def test_a_shadow_moves_with_its_object(shadowed):
    """What a difference of the whole scene sees, and one of layers does not: the shadow alone asks."""
    meshes = MeshLibrary.from_meshes([("cube", cube())])
    drawing = make_differentiable_engine("mujoco-shadows", meshes)
    position = shadowed.objects.position.clone().requires_grad_()
    scene = replace(shadowed, objects=replace(shadowed.objects, position=position))
    beside = torch.zeros(64, 64, dtype=torch.float64)
    beside[:, 40:] = 1  # where no object is, only its shadow's edge
    (slope,) = torch.autograd.grad((render(scene, drawing).image[0, 0] * beside).sum(), position)
    # the shadow's right edge is as long as the cube, 0.08 m, and takes 0.6 · cos 45° · 0.5 of the light
    expected = -0.08 * 64 * 64 * 0.5 * 0.6 / 2**0.5
    assert float(slope[0, 0, 0]) == pytest.approx(expected, rel=0.25)
    assert abs(float(slope[0, 0, 1])) < 0.2 * abs(expected)
    (none,) = torch.autograd.grad(
        (drawing.layers(scene.objects, scene.camera, scene.light).alpha[0, 0] * beside).sum(), position
    )
    assert float(none.abs().max()) == 0


@pytest.fixture
def anew() -> Iterator[None]:
    """Engines are looked for once a process; here they are looked for again, before and after."""
    why_not.cache_clear()
    yield
    why_not.cache_clear()


@pytest.mark.parametrize("name", ["open3d", "mujoco", "mujoco-shadows"])
def test_an_engine_that_is_not_installed_says_how_to_get_it(name, monkeypatch, anew):
    package = name.partition("-")[0]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=f"pip install {package}") as raised:
        make_engine(name, library())
    assert "\n" not in str(raised.value)


def test_a_library_of_the_system_that_open3d_misses_is_named(monkeypatch, tmp_path, anew):
    package = tmp_path / "open3d"
    package.mkdir()
    cause = "libX11.so.6: cannot open shared object file: No such file or directory"
    (package / "__init__.py").write_text(f"raise OSError({cause!r})")
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r"libX11\.so\.6.*apt install .*libx11-6") as raised:
        make_engine("open3d", library())
    assert "\n" not in str(raised.value)


def test_without_opengl_mujoco_draws_by_rays_and_shadows_say_why_not(monkeypatch, anew):
    pytest.importorskip("mujoco")
    monkeypatch.setitem(sys.modules, "mujoco.egl", None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gl_faces, "_threads", {})
    status = {engine.name: engine for engine in available_engines()}
    assert status["mujoco"].works
    for name in ("mujoco", "mujoco-shadows"):
        assert "libegl1" in status[name].reason
        assert "\n" not in status[name].reason
    with pytest.raises(EngineError, match="no OpenGL"):
        make_engine("mujoco-shadows", library())
    meshes = library()
    scenes = random_scenes(meshes, 1, 1, 16, seed=7)
    rays = make_engine("mujoco", meshes).layers(scenes.objects, scenes.camera, scenes.light)
    expected = Supersampled(EmbeddedEngine(meshes), 3).layers(scenes.objects, scenes.camera, scenes.light)
    assert (rays.alpha - expected.alpha).abs().mean() < 5e-3

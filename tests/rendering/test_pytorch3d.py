"""PyTorch3D's two forms: cameras, agreement with the embedded engine, and the message where it is missing.

What needs PyTorch3D is skipped, visibly, where it is not installed.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import library, orbiting, random_scenes

from inverse_graphics.benchmarks.render import table_top_scenes
from inverse_graphics.errors import EngineError
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.agreement import compare_faces, compare_gradients, face_images, pyramid_loss
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engines import available_engines, make_engine
from inverse_graphics.rendering.installation import load_pytorch3d, why_not
from inverse_graphics.rendering.pytorch3d.native import NativeEngine, NativeSettings
from inverse_graphics.rendering.pytorch3d.shared import SharedEngine
from inverse_graphics.rendering.pytorch3d.surfaces import ndc_from_pixels, ndc_per_pixel
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import CameraBatch, SceneBatch
from inverse_graphics.scene.camera_batch import project

needs_pytorch3d = pytest.mark.skipif(bool(why_not(load_pytorch3d)), reason=why_not(load_pytorch3d))

SIZES = ((48, 48, 24.0, 24.0), (40, 64, 30.5, 22.25), (64, 33, 12.0, 40.0))


def a_camera(height: int, width: int, cx: float, cy: float) -> CameraBatch:
    seen = orbiting(torch.tensor([[0.5, -0.6, 0.4]], dtype=torch.float64), height, width)
    K = torch.tensor([[[70.0, 0, cx], [0, 55.0, cy], [0, 0, 1]]], dtype=torch.float64)
    return replace(seen, K=K)


def some_points(camera: CameraBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in the world, (P, 3), and in homogeneous pixels, (P, 3)."""
    points = torch.from_numpy(np.random.default_rng(2).uniform(-0.2, 0.2, (20, 3)))
    pose = camera.T_world_camera[0]
    return points, (points - pose[:3, 3]) @ pose[:3, :3] @ camera.K[0].T


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("margin", [0, 2])
def test_device_coordinates_are_the_projection_s_pixels(size, margin):
    """The centre of row r, column c is at W/2 − c − ½ and H/2 − r − ½, over half the shorter side."""
    camera = a_camera(*size)
    points, homogeneous = some_points(camera)
    pixels, depth = project(points[None], camera)
    ndc = ndc_from_pixels(homogeneous, camera.height, camera.width, margin)
    sides = torch.tensor([camera.width, camera.height]) + 2 * margin
    back = sides / 2 - ndc[:, :2] * min(sides.tolist()) / 2 - margin
    torch.testing.assert_close(back, pixels[0])
    torch.testing.assert_close(ndc[:, 2], depth[0])
    assert ndc_per_pixel(camera.height, camera.width, margin) == 2 / min(sides.tolist())


@needs_pytorch3d
@pytest.mark.parametrize("size", SIZES)
def test_device_coordinates_are_those_of_pytorch3d_s_own_cameras(size):
    from pytorch3d.utils import cameras_from_opencv_projection

    camera = a_camera(*size)
    points, homogeneous = some_points(camera)
    R = camera.T_world_camera[:, :3, :3].transpose(1, 2)
    shift = -(R @ camera.T_world_camera[:, :3, 3:])[..., 0]
    shape = torch.tensor([[camera.height, camera.width]])
    theirs = cameras_from_opencv_projection(R.float(), shift.float(), camera.K.float(), shape)
    expected = theirs.transform_points_ndc(points[None].float())[0, :, :2]
    found = ndc_from_pixels(homogeneous, camera.height, camera.width)[:, :2]
    torch.testing.assert_close(found.float(), expected, atol=1e-5, rtol=1e-5)


def test_points_in_the_camera_s_plane_are_finite_and_so_are_their_gradients():
    points = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, -0.0], [0.0, 0.0, 1e-9], [3.0, -1.0, -1e-9]])
    points.requires_grad_()
    ndc = ndc_from_pixels(points, 32, 48)
    ndc.square().mean().sqrt().backward()
    assert ndc.isfinite().all()
    assert points.grad is not None
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("name", ["pytorch3d", "pytorch3d-native"])
def test_where_it_is_missing_the_error_says_how_to_get_it(name, monkeypatch):
    for module in ("pytorch3d", "pytorch3d.ops", "pytorch3d.structures"):
        monkeypatch.setitem(sys.modules, module, None)
    status = {engine.name: engine for engine in available_engines()}[name]
    assert not status.works
    assert "conda env create -f environment.yml" in status.reason
    with pytest.raises(
        EngineError, match=r"conda env create -f environment\.yml; available: embedded"
    ) as caught:
        make_engine(name, load_pack("primitives").library())
    assert "\n" not in str(caught.value)


@needs_pytorch3d
@pytest.mark.parametrize("engine", [SharedEngine, NativeEngine])
def test_an_asset_that_the_library_does_not_have_is_refused(engine):
    scenes = random_scenes(library(), 1, 2, 16, seed=0).to("cpu", torch.float32)
    wrong = replace(scenes.objects, asset=scenes.objects.asset + 5)
    with pytest.raises(EngineError, match="is not in the library of 5 meshes"):
        engine(library()).layers(wrong, scenes.camera, scenes.light)


@needs_pytorch3d
@pytest.mark.parametrize("settings", [NativeSettings(blur_px=0.0), NativeSettings(faces_per_pixel=0)])
def test_settings_out_of_bounds_are_refused(settings):
    with pytest.raises(EngineError, match="expected a blur above 0"):
        NativeEngine(library(), settings)


@needs_pytorch3d
@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80)])
def test_shared_and_embedded_see_the_same_faces_in_the_same_colours(height, width):
    crockery = load_pack("crockery").library()
    scenes = table_top_scenes(16, height, width, crockery)
    found = compare_faces(EmbeddedEngine(crockery), SharedEngine(crockery), scenes)
    assert found.pixels > 2000
    assert found.same_face >= 0.999
    assert found.same_colour >= 0.999
    assert found.colour <= 1 / 255
    assert found.depth <= 1e-3


@needs_pytorch3d
def test_native_and_embedded_paint_surfaces_alike_away_from_edges():
    """Hidden edges, such as those of a plate's foot under its upper side, must not show through."""
    crockery = load_pack("crockery").library()
    scenes = table_top_scenes(4, 192, 192, crockery)
    embedded = EmbeddedEngine(crockery)
    with torch.no_grad():
        visibility = embedded.visibility(scenes.objects, scenes.camera)
        ours, theirs = (
            e.layers(scenes.objects, scenes.camera, scenes.light) for e in (embedded, NativeEngine(crockery))
        )
    layer, x, y = visibility.fragments.long()[visibility.crossings[:, :2].flatten().long(), :3].unbind(dim=1)
    edges = torch.zeros(12, 194, 194).index_put((layer, y + 1, x + 1), torch.tensor(1.0))
    near = torch.nn.functional.max_pool2d(edges, 3, stride=1).reshape(4, 3, 192, 192) > 0
    plain = (face_images(visibility, scenes) >= 0) & ~near
    assert plain.sum() > 5_000
    off = (ours.rgb - theirs.rgb).abs().amax(dim=2)
    assert (off[plain] <= 1 / 255).double().mean() > 0.999
    assert off[plain].max() < 0.02
    assert (off > 0.25).double().mean() < 1e-4  # of all pixels, edges included


@needs_pytorch3d
def test_shared_has_the_embedded_engine_s_gradients():
    """Where both see the same, gradients are the same numbers, in float64 too."""
    shapes = library()
    scenes = random_scenes(shapes, 4, 3, 48, seed=1)
    with torch.no_grad():
        target = render(moved(scenes, 1), EmbeddedEngine(shapes)).image
    cosines = compare_gradients(EmbeddedEngine(shapes), SharedEngine(shapes), scenes, target)
    assert min(cosines.position.min(), cosines.rotation.min()) > 0.9999


def moved(scenes: SceneBatch, seed: int) -> SceneBatch:
    """All objects a few pixels and degrees elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    like = scenes.objects.position
    shift, turn = (torch.randn(like.shape, generator=generator, dtype=like.dtype) for _ in range(2))
    rotation = matrix_from_rotation_vector(0.15 * turn) @ scenes.objects.rotation
    return replace(scenes, objects=replace(scenes.objects, position=like + 0.02 * shift, rotation=rotation))


def occluded_scenes(count: int, side: int, seed: int) -> SceneBatch:
    """Four objects each, seen from so low that some hide others."""
    scenes = random_scenes(library(), count, 4, side, seed).to("cpu", torch.float32)
    generator = torch.Generator().manual_seed(seed)
    angle = 6.3 * torch.rand(count, generator=generator)
    low = torch.stack([angle.cos(), angle.sin(), torch.full((count,), 0.35)], dim=1)
    return replace(scenes, camera=orbiting(0.6 * low, side))


@needs_pytorch3d
def test_native_and_embedded_gradients_point_the_same_way():
    shapes, scenes = library(), occluded_scenes(24, 64, seed=0)
    embedded = EmbeddedEngine(shapes)
    with torch.no_grad():
        target = render(moved(scenes, 1), embedded).image
        alpha = embedded.layers(scenes.objects, scenes.camera, scenes.light).alpha
    hidden = ((alpha > 0.5).sum(dim=1) > 1).flatten(1).sum(dim=1)
    assert (hidden > 10).double().mean() > 0.7  # objects do hide each other
    cosines = compare_gradients(embedded, NativeEngine(shapes), scenes, target)
    for found in cosines:
        assert found.median() >= 0.95
    assert (cosines.position >= 0.95).double().mean() >= 0.9


@needs_pytorch3d
def test_a_blur_of_so_many_pixels_is_as_wide_at_any_resolution():
    """An edge along the pixels fades over 2 · blur of them, whether the image is small or large."""
    from inverse_graphics.rendering.conformance.shapes import card
    from inverse_graphics.rendering.conformance.views import View, draw

    for side, focal in ((32, 40.0), (128, 160.0)):
        view = View(side, side, (focal, focal, side / 2, side / 2))
        shift = np.arange(20) / 20 / focal
        places = np.stack([shift, 0 * shift, 0 * shift + 1], axis=1)
        blurred = draw(lambda meshes: NativeEngine(meshes, NativeSettings(blur_px=0.8)), card(), places, view)
        row = blurred.alpha[:, 0, side // 2, : side // 2]
        partly = (row > 1e-3) & (row < 1 - 1e-3)
        assert partly.double().sum(dim=1).mean() == pytest.approx(1.6, abs=0.1)


@needs_pytorch3d
def test_without_enough_faces_per_pixel_the_nearest_edge_is_lost():
    """The trap that `faces_per_pixel` is there for: PyTorch3D keeps faces by depth."""
    few = NativeSettings(faces_per_pixel=1)
    shapes, scenes = library(), occluded_scenes(4, 64, seed=3)
    with torch.no_grad():
        full, ragged = (
            NativeEngine(shapes, settings).layers(scenes.objects, scenes.camera, scenes.light).alpha
            for settings in (NativeSettings(), few)
        )
        more = NativeEngine(shapes, NativeSettings(faces_per_pixel=64)).layers(
            scenes.objects, scenes.camera, scenes.light
        )
    assert (full - more.alpha).abs().max() < 1e-5
    assert (full - ragged).abs().max() > 0.1


def test_the_pyramid_weighs_a_shift_alike_on_every_level():
    flat, raised = torch.zeros(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.1)
    one, four = (pyramid_loss(raised, flat, levels) for levels in (1, 4))
    torch.testing.assert_close(four, 4 * one)
    torch.testing.assert_close(one, torch.full((2,), 3 * 16 * 16 * 0.5))


def test_faces_that_differ_are_counted():
    shapes = library()
    scenes = random_scenes(shapes, 2, 2, 32, seed=4)
    embedded = EmbeddedEngine(shapes)
    same = compare_faces(embedded, embedded, scenes)
    assert (same.same_face, same.colour) == (1.0, 0.0)

    class Elsewhere:
        def visibility(self, objects, camera):
            return embedded.visibility(replace(objects, position=objects.position + 0.01), camera)

        layers = embedded.layers

    seen = face_images(embedded.visibility(scenes.objects, scenes.camera), scenes)
    assert same.pixels == int((seen >= 0).sum())
    assert compare_faces(embedded, Elsewhere(), scenes).same_face < 0.9

"""What supersampling does to gradients, and that the measurement notices wrong ones."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inverse_graphics.benchmarks import gradients
from inverse_graphics.benchmarks.gradients import benchmark_gradients, blurred, perturb_poses, pyramid_product
from inverse_graphics.benchmarks.scenes import table_top_scenes
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.scene.camera_batch import project

LIBRARY = load_pack("crockery").library()


@pytest.fixture(scope="module")
def rows():
    found = benchmark_gradients(objects=(3,), scenes=24)
    return {(row.engine, row.of): row for row in found if row.loss == "blur"}


def test_with_the_camera_gradients_point_where_differences_do(rows):
    """Most of the picture moves then, and most of its edges are wider than a pixel."""
    for engine in ("embedded", "embedded×2", "embedded×3"):
        row = rows[engine, "objects and camera"]
        assert row.share_good >= 0.95
        assert row.median > 0.99


def test_supersampling_helps_objects_whose_rims_are_thinner_than_a_pixel(rows):
    """What is behind the option: the plain engine is right on most scenes, three samples on nearly all."""
    plain, thrice = rows["embedded", "objects"], rows["embedded×3", "objects"]
    assert thrice.share_good >= plain.share_good + 0.1
    assert thrice.share_good >= 0.9
    assert thrice.error < 0.8 * plain.error
    assert thrice.lowest > plain.lowest


def test_slopes_of_the_picture_help_where_normals_turn_within_a_pixel(monkeypatch):
    """Negative control: the exact derivative of pictures that are sampled at points is worse by far."""
    exact = EmbeddedEngine(LIBRARY, EmbeddedSettings(slopes="surface"))
    truth = make_engine

    def make(name, library):
        return exact if name == "exact" else truth(name, library)

    monkeypatch.setattr(gradients, "make_engine", make)
    found = list(benchmark_gradients(("embedded", "exact"), (1,), objects=(3,), scenes=24))
    assert {row.loss for row in found} == {"blur", "pyramid"}
    for ours, theirs in zip(found[:4], found[4:], strict=True):
        assert (ours.loss, ours.of) == (theirs.loss, theirs.of)
        assert ours.error < 0.8 * theirs.error
        assert ours.share_good >= theirs.share_good + (0.1 if ours.of == "objects" else 0.0)


class Reversed(EmbeddedEngine):
    """Draws as it should and says of every movement that it were the opposite one."""

    def layers(self, objects, camera, light):
        there = objects.position
        return super().layers(
            replace(objects, position=2 * there.detach() - there, rotation=objects.rotation.detach()),
            replace(camera, T_world_camera=camera.T_world_camera.detach()),
            light,
        )


def test_wrong_gradients_are_found(monkeypatch):
    truth = make_engine

    def make(name, library):
        return Reversed(library) if name == "reversed" else truth(name, library)

    monkeypatch.setattr(gradients, "make_engine", make)
    row = next(benchmark_gradients(("reversed",), (1,), objects=(1,), scenes=8))
    assert row.share_good == 0
    assert row.error > 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_move_of_a_pixel_is_one_in_the_picture(seed):
    """Along the camera's x axis the object's origin moves by one pixel times its distance over its depth."""
    scenes = table_top_scenes(1, 64, 64, LIBRARY, 1, seed).to("cpu", torch.float64)
    pixels = torch.zeros(1, 12, dtype=torch.float64)
    pixels[0, :3] = scenes.camera.T_world_camera[0, :3, 0]
    moved = perturb_poses(scenes, pixels, LIBRARY)
    before, depth = project(scenes.objects.position, scenes.camera)
    after, _ = project(moved.objects.position, scenes.camera)
    far = (scenes.objects.position - scenes.camera.T_world_camera[:, None, :3, 3]).norm(dim=-1)
    expected = torch.stack([far / depth, torch.zeros_like(far)], dim=-1)
    torch.testing.assert_close(after - before, expected)


def test_a_product_of_pyramids_is_what_their_likelihood_differentiates():
    """The slope of log p towards a picture is the product of what is lacking with the way there."""
    generator = torch.Generator().manual_seed(0)
    image, render, way = torch.rand(3, 2, 3, 16, 24, generator=generator, dtype=torch.float64)
    render.requires_grad_()
    log_prob = GaussianModel(1.0).pyramid(4).log_prob(Observation(image), Rendered(render))
    (slope,) = torch.autograd.grad(log_prob.sum(), render)
    found = pyramid_product(image - render.detach(), way)
    torch.testing.assert_close(found, (slope * way).sum(dim=(1, 2, 3)))


def test_a_blur_keeps_what_is_even_and_spreads_a_point_by_a_pixel():
    even = torch.full((1, 3, 12, 12), 0.4, dtype=torch.float64)
    torch.testing.assert_close(blurred(even), even)
    point = torch.zeros(1, 3, 21, 21, dtype=torch.float64)
    point[:, :, 10, 10] = 1
    at = torch.arange(-10, 11, dtype=torch.float64)
    spread = blurred(point)[0, 0].sum(dim=0)
    torch.testing.assert_close((spread * at.square()).sum(), torch.tensor(1.0).double(), rtol=0.01, atol=0)

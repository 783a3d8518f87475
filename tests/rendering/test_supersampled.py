"""Supersampling: area stays, thin objects appear, gradients stay true."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import as_mesh, ball, cube, library, light, looking_down, one_object, random_scenes

from inverse_graphics.benchmarks.gradients import perturb_poses
from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.conformance import CHECKS, Tolerance
from inverse_graphics.rendering.conformance.shapes import box
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.rendering.supersampled import Supersampled, averaged, enlarged


def doubled(meshes):
    return Supersampled(EmbeddedEngine(meshes), 2)


def drawn(engine, scenes):
    return engine.layers(scenes.objects, scenes.camera, scenes.light)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_supersampled_engine_conforms(check):
    """Depth of a curved or tilted surface is its mean over the pixel, not its value at the centre."""
    check(doubled, Tolerance(depth=4e-3))


def test_it_is_an_engine_and_says_what_it_is_made_of():
    engine = Supersampled(doubled(library()), 3)
    assert isinstance(engine, RenderEngine)
    assert engine.name == "embedded×2×3"
    assert engine.differentiable
    for factor in (0, -1, 17):
        with pytest.raises(EngineError, match="from 1 to 16"):
            Supersampled(engine, factor)


def test_factor_one_is_the_inner_engine():
    engine = EmbeddedEngine(library())
    scenes = random_scenes(library(), 3, 2, 20, seed=0)
    for one, other in zip(drawn(engine, scenes), drawn(Supersampled(engine, 1), scenes), strict=True):
        assert torch.equal(one, other)


def test_layers_are_means_over_squares_of_the_finer_ones():
    """Against loops; depth weighs alpha, and has none where no sub-pixel has one."""
    engine = EmbeddedEngine(library())
    scenes = random_scenes(library(), 2, 2, 12, seed=4)
    fine = drawn(engine, replace(scenes, camera=enlarged(scenes.camera, 3)))
    coarse = drawn(Supersampled(engine, 3), scenes)
    for b, n, y, x in np.ndindex(2, 2, 12, 12):
        square = (b, n, ..., slice(3 * y, 3 * y + 3), slice(3 * x, 3 * x + 3))
        rgb, depth, alpha = (part[square] for part in fine)
        torch.testing.assert_close(coarse.rgb[b, n, :, y, x], rgb.mean(dim=(1, 2)))
        torch.testing.assert_close(coarse.alpha[b, n, y, x], alpha.mean())
        seen = depth.isfinite()
        if not seen.any():
            assert coarse.depth[b, n, y, x] == torch.inf
        elif alpha.sum() > 0.1:
            expected = (depth[seen] * alpha[seen]).sum() / alpha[seen].sum()
            torch.testing.assert_close(coarse.depth[b, n, y, x], expected, rtol=1e-4, atol=0)


def test_the_view_stays_where_it_is():
    """Centroid and area of an object off the centre, at any factor."""
    meshes = MeshLibrary.from_meshes([("ball", ball())])
    place = torch.tensor([[0.13, -0.07, 0.0]], dtype=torch.float64)
    found = []
    for factor in (1, 2, 3, 5):
        engine = Supersampled(EmbeddedEngine(meshes), factor)
        alpha = engine.layers(one_object(place), looking_down(1, 40, focal=80.0), light(1)).alpha[0, 0]
        pixels = torch.arange(40, dtype=torch.float64) + 0.5
        total = alpha.sum()
        found.append([total, (alpha.sum(0) * pixels).sum() / total, (alpha.sum(1) * pixels).sum() / total])
    torch.testing.assert_close(
        torch.tensor(found), torch.tensor(found[-1]).expand(4, 3), rtol=0.01, atol=0.02
    )


def bar(width: float) -> MeshLibrary:
    return MeshLibrary.from_meshes([("bar", box([width, 0.4, width]))])


@pytest.mark.parametrize("width_px", [0.3, 0.45])
def test_what_is_thinner_than_a_pixel_has_its_area_where_the_plain_engine_loses_it(width_px):
    """Over 40 places across a pixel, error of the area of a bar a fraction of a pixel wide."""
    places = torch.zeros(40, 3, dtype=torch.float64)
    places[:, 0] = torch.linspace(0, 39 / 40, 40) / 40
    camera = looking_down(40, 24, focal=40.0)
    true = width_px * 16
    errors = []
    for factor in (1, 4):
        engine = Supersampled(EmbeddedEngine(bar(width_px / 40)), factor)
        alpha = engine.layers(one_object(places), camera, light(40)).alpha
        errors.append(float((alpha.sum(dim=(1, 2, 3)) - true).square().mean().sqrt() / true))
    assert errors[0] > 0.4
    assert errors[1] < 0.25 * errors[0]


def test_nothing_is_drawn_as_nothing():
    scenes = random_scenes(library(), 2, 2, 8, seed=1)
    objects = replace(scenes.objects, asset=torch.full((2, 2), -1))
    layers = doubled(library()).layers(objects, scenes.camera, scenes.light)
    assert not layers.alpha.any()
    assert (layers.depth == torch.inf).all()
    none = replace(objects, **{name: part[:, :0] for name, part in vars(objects).items()})
    assert doubled(library()).layers(none, scenes.camera, scenes.light).rgb.shape == (2, 0, 3, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_the_average_equal_finite_differences(dtype):
    """Of `averaged` itself, on any layers, pixels without depth and of hardly any alpha among them."""
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(1, 2, 3, 4, 6, generator=generator, dtype=torch.float64)
    alpha = torch.rand(1, 2, 4, 6, generator=generator, dtype=torch.float64)
    depth = 1 + torch.rand(1, 2, 4, 6, generator=generator, dtype=torch.float64)
    alpha[0, 0, :2, :2], depth[0, 0, :2, :2] = 0.0, torch.inf
    depth[0, 1, 0, 0], alpha[0, 1, 2:, 2:4] = torch.inf, 1e-12
    leaves = [part.to(dtype).requires_grad_() for part in (rgb, depth, alpha)]

    def outputs(rgb, depth, alpha):
        found = averaged(Layers(rgb, depth, alpha), 2)
        return found.rgb, found.alpha, found.depth[found.depth.isfinite()]

    if dtype == torch.float64:
        assert torch.autograd.gradcheck(lambda rgb: outputs(rgb, depth, alpha), leaves[:1])
        assert torch.autograd.gradcheck(
            lambda part: outputs(rgb, torch.where(depth.isfinite(), part, torch.inf), alpha),
            [torch.where(depth.isfinite(), depth, 1.0).requires_grad_()],
        )
        covered = alpha.clamp(min=0.01).requires_grad_()
        assert torch.autograd.gradcheck(lambda alpha: outputs(rgb, depth, alpha), [covered])
    gradients = torch.autograd.grad(sum(part.sum() for part in outputs(*leaves)), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_reach_poses_and_cameras_and_equal_finite_differences_of_the_same_picture():
    """A small step over many sub-pixels, objects large against a pixel: visibility changes average out."""
    meshes = MeshLibrary.from_meshes([("cube", cube()), ("ball", as_mesh_of_one_colour())])
    engine = Supersampled(EmbeddedEngine(meshes), 3)
    scenes = random_scenes(meshes, 4, 1, 32, seed=6, distance=0.4)
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64)
    slopes = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), ramp[:, None] * ramp])

    def loss(moves):
        return (render(perturb_poses(scenes, moves, meshes), engine).image * slopes).sum(dim=(1, 2, 3))

    start = torch.zeros(4, 12, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(start).sum(), start)
    steps = 0.2 * torch.eye(12, dtype=torch.float64)[:, None].expand(12, 4, 12)
    with torch.no_grad():
        difference = torch.stack([(loss(step) - loss(-step)) / 0.4 for step in steps], dim=1)
    assert torch.nn.functional.cosine_similarity(gradient, difference, dim=1).min() > 0.99
    torch.testing.assert_close(gradient.norm(dim=1), difference.norm(dim=1), rtol=0.1, atol=0)


def as_mesh_of_one_colour():
    import trimesh

    return as_mesh(trimesh.creation.icosphere(3, 0.05), (0.9, 0.8, 0.2))

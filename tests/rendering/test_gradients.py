"""Gradients against finite differences, with visibility held fixed and across its changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import ball, cube, handled, library, random_scenes, ring, tile

from inverse_graphics.benchmarks.gradients import blurred, perturb_poses
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import compose
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.rendering import render
from inverse_graphics.rendering.supersampled import enlarged
from inverse_graphics.scene.batch import SceneBatch

STEP = 1e-5


def textured():
    """Texels larger than pixels: the choice between smaller copies of a texture is not differentiated."""
    texture = np.random.default_rng(1).uniform(0, 1, (2, 3, 3)).astype(np.float32)
    return MeshLibrary.from_meshes([("tile", tile(0.1, texture)), ("cube", cube())])


def moved(scenes, meshes, pixels, lights, colours):
    """Scenes changed by all that gradients flow to: poses, then light, then tints, table, background."""
    scenes = perturb_poses(scenes, pixels, meshes)
    light, count = scenes.light, scenes.objects.tint.shape[1]
    return SceneBatch(
        objects=replace(scenes.objects, tint=scenes.objects.tint + colours[:, :count]),
        camera=scenes.camera,
        light=replace(
            light,
            direction=light.direction + lights[:, 0],
            diffuse=light.diffuse + lights[:, 1],
            ambient=light.ambient + lights[:, 2],
        ),
        table=replace(scenes.table, colour=scenes.table.colour + colours[:, count]),
        background=scenes.background + colours[:, count + 1],
    )


@pytest.mark.parametrize("meshes", [library(), textured()], ids=["coloured", "textured"])
@pytest.mark.parametrize("slopes", ["surface", "image"])
@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_gradients_equal_finite_differences_while_visibility_is_held(meshes, kernels, slopes):
    """Image, depth and alpha with respect to poses, camera, light and colours, to a relative 1e-6.

    Exempt is the image with respect to poses where slopes are the image's, which reach beyond a pixel.
    """
    engine = EmbeddedEngine(meshes, EmbeddedSettings(kernels=kernels, slopes=slopes))
    scenes = random_scenes(meshes, 3, 2, 24, seed=11, distance=0.5)
    generator = torch.Generator().manual_seed(0)
    seen = engine.visibility(scenes.objects, scenes.camera)
    at_rest = engine.layers(scenes.objects, scenes.camera, scenes.light)
    finite = at_rest.depth.isfinite()
    shapes = [(3, 18), (3, 3, 3), (3, 4, 3)]
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in at_rest]
    over = torch.randn(3, 3, 24, 24, generator=generator, dtype=torch.float64)

    def loss(of, *offsets):
        now = moved(scenes, meshes, *offsets)
        layers = engine.draw(now.objects, now.camera, now.light, seen)
        backdrop = table_and_background(now.table, now.background, now.camera, now.light)
        depth = torch.where(finite, layers.depth, 0.0)
        # the pixels' order in depth is held too: each layer by itself, and the image of the first alone
        alone = compose(type(layers)(*(part[:, :1] for part in layers)), backdrop).image
        shape = (depth * weights[1]).sum() + (layers.alpha * weights[2]).sum()
        return shape if slopes == "image" and of == 0 else shape + (alone * over).sum()

    zeros = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    for index, offset in enumerate(zeros):
        (gradient,) = torch.autograd.grad(loss(index, *zeros), offset)
        for _ in range(4):
            direction = torch.randn(shapes[index], generator=generator, dtype=torch.float64)
            with torch.no_grad():
                ahead, behind = (
                    loss(
                        index,
                        *(z + sign * STEP * direction if n == index else z for n, z in enumerate(zeros)),
                    )
                    for sign in (1, -1)
                )
            difference = (ahead - behind) / (2 * STEP)
            assert abs(difference) > 1e-3
            torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-6, atol=0)


def shown(scenes, engine, times):
    """Image of scenes, drawn in `times` as many rows and columns and averaged."""
    fine = replace(scenes, camera=enlarged(scenes.camera, times))
    return torch.nn.functional.avg_pool2d(render(fine, engine).image, times)


def cosines(meshes, objects, side, seed, count=8, times=4, distance=0.5):
    """Per scene, the cosine of the gradient with central differences of 0.5 px.

    The loss is the inner product of the blurred image with what it lacks to a target some pixels away;
    differences are of supersampled images.
    """
    engine = EmbeddedEngine(meshes)
    scenes = random_scenes(meshes, count, objects, side, seed, distance=distance)
    size = 6 * objects + 6
    generator = torch.Generator().manual_seed(seed)
    away = 3 * torch.randn(count, size, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        lacking = blurred(
            shown(scenes, engine, times) - shown(perturb_poses(scenes, away, meshes), engine, times)
        )

    def loss(moves, times):
        return (blurred(shown(perturb_poses(scenes, moves, meshes), engine, times)) * lacking).sum(
            dim=(1, 2, 3)
        )

    start = torch.zeros(count, size, dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(loss(start, 1).sum(), start)[0]
    steps = 0.5 * torch.eye(size, dtype=torch.float64)[:, None].expand(size, count, size)
    with torch.no_grad():
        difference = torch.stack([loss(step, times) - loss(-step, times) for step in steps], dim=1)
    return torch.nn.functional.cosine_similarity(gradient, difference, dim=1), gradient, difference


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("shapes", ["convex", "all"])
def test_gradients_point_where_finite_differences_do_across_changes_of_visibility(shapes, objects):
    """Self-occlusion (the ring, the bowl and the handle) and occlusion between objects included."""
    convex = MeshLibrary.from_meshes([("cube", cube()), ("ball", ball())])
    found, _, _ = cosines(library() if shapes == "all" else convex, objects, 48, seed=3)
    assert found.min() >= 0.95
    assert found.median() >= 0.98


@pytest.mark.parametrize("shape", [ring, handled], ids=["ring", "handled"])
def test_contours_before_the_same_object_carry_gradient(shape):
    """The pose of one object that hides parts of itself, without camera, table or background."""
    meshes = MeshLibrary.from_meshes([("shape", shape())])
    _, gradient, difference = cosines(meshes, 1, 64, seed=5, distance=0.4)
    found = torch.nn.functional.cosine_similarity(gradient[:, :6], difference[:, :6], dim=1)
    assert found.median() >= 0.97


def test_without_edge_gradients_the_same_test_fails():
    """Negative control: shading alone (edges held where they are) does not know where a silhouette goes."""
    meshes = MeshLibrary.from_meshes([("ball", ball())])
    engine = EmbeddedEngine(meshes)
    scenes = random_scenes(meshes, 4, 1, 32, seed=2)
    seen = engine.visibility(scenes.objects, scenes.camera)
    uncrossed = replace(seen, crossings=seen.crossings[:0])
    moves = torch.zeros(4, 12, dtype=torch.float64, requires_grad=True)
    now = perturb_poses(scenes, moves, meshes)
    alpha = engine.draw(now.objects, now.camera, now.light, uncrossed).alpha
    slopes = torch.arange(32, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((alpha * slopes).sum(), moves, retain_graph=True)
    assert (gradient == 0).all()
    alpha = engine.draw(now.objects, now.camera, now.light, seen).alpha
    (gradient,) = torch.autograd.grad((alpha * slopes).sum(), moves)
    assert (gradient[:, :3].norm(dim=1) > 1).all()

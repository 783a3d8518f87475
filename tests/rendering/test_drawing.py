"""Stage 2: the compiled way there and back equals plain torch and its autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import cube, library, random_scenes, tile

from inverse_graphics.benchmarks.gradients import perturb_poses
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings


def textured_library():
    texture = np.random.default_rng(1).uniform(0, 1, (32, 24, 3)).astype(np.float32)
    return MeshLibrary.from_meshes([("tile", tile(0.1, texture)), ("cube", cube())])


@pytest.mark.parametrize("meshes", [library(), textured_library()], ids=["coloured", "textured"])
@pytest.mark.parametrize("distance", [0.7, 0.12])
@pytest.mark.parametrize("slopes", ["image", "surface"])
def test_compiled_drawing_and_its_gradients_equal_plain_torch(meshes, distance, slopes):
    compiled = EmbeddedEngine(meshes, EmbeddedSettings(kernels="numba", slopes=slopes))
    plain = EmbeddedEngine(meshes, EmbeddedSettings(kernels="torch", slopes=slopes))
    scenes = random_scenes(meshes, 4, 2, 32, seed=4, distance=distance)
    moves = torch.zeros(4, 18, dtype=torch.float64, requires_grad=True)
    moved = perturb_poses(scenes, moves, meshes)
    leaves = [moves]
    for value in (moved.objects.scale, moved.objects.tint, *vars(moved.light).values()):
        leaves.append(value.clone().requires_grad_())
    objects = replace(moved.objects, scale=leaves[1], tint=leaves[2])
    light = replace(moved.light, direction=leaves[3], diffuse=leaves[4], ambient=leaves[5])
    seen = compiled.visibility(objects, moved.camera)
    first = compiled.draw(objects, moved.camera, light, seen)
    second = plain.draw(objects, moved.camera, light, seen)
    torch.testing.assert_close(first.rgb, second.rgb)
    torch.testing.assert_close(first.alpha, second.alpha)
    torch.testing.assert_close(first.depth, second.depth)
    given = [torch.randn_like(part) for part in first]

    def gradients(layers):
        depth = torch.where(layers.depth.isfinite(), layers.depth, 0.0)
        parts = (layers.rgb, depth, layers.alpha)
        total = sum((part * weight).sum() for part, weight in zip(parts, given, strict=True))
        return torch.autograd.grad(total, leaves, retain_graph=True)

    for mine, reference in zip(gradients(first), gradients(second), strict=True):
        assert reference.abs().max() > 0
        torch.testing.assert_close(mine, reference, rtol=1e-7, atol=1e-9 * float(reference.abs().max()))

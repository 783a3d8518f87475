from dataclasses import replace

import pytest
import torch
from table_scenes import library, light, orbiting, random_scenes

from inverse_graphics.benchmarks.gradients import perturb_poses
from inverse_graphics.rendering.backdrop import Plan, paint_in_torch, table_and_background
from inverse_graphics.rendering.backdrop_numba import Paint
from inverse_graphics.rendering.supersampled import enlarged
from inverse_graphics.scene.batch import TableBatch

MESHES = library()


def scenes_with_tables(count=6, side=24, seed=0):
    scenes = random_scenes(MESHES, count, 1, side, seed)
    pose = scenes.camera.T_world_camera.clone()
    pose[: count // 2, :3, 3] *= 0.3  # so near that the table reaches behind the camera
    return replace(scenes, camera=replace(scenes.camera, T_world_camera=pose))


def drawn(scenes):
    return table_and_background(scenes.table, scenes.background, scenes.camera, scenes.light)


def test_compiled_backdrop_and_its_gradients_equal_plain_torch():
    generator = torch.Generator().manual_seed(0)
    sides = torch.randn(4, 4, 3, generator=generator, dtype=torch.float64)
    sides = sides * torch.tensor([0.5, 0.5, 3.0]) + torch.tensor([0.0, 0.0, 3.0])
    leaves = [sides, *(torch.rand(4, 3, generator=generator, dtype=torch.float64) for _ in range(3))]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    present = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    plan = Plan(leaves[0], leaves[1], leaves[2], leaves[3], present)
    painted = paint_in_torch(plan, 9, 11)
    reference = painted[:3]
    compiled = Paint.apply(9, 11, *plan)
    weights = [torch.randn_like(part) for part in reference]

    def gradients(parts):
        seen = [torch.where(part.isfinite(), part, 0.0) for part in parts]
        sums = [(part * weight).sum() for part, weight in zip(seen, weights, strict=True)]
        return torch.autograd.grad(sums, leaves)

    assert 0.1 < painted.coverage.mean() < 0.9
    for mine, other in zip(compiled, reference, strict=True):
        torch.testing.assert_close(mine, other)
    for mine, other in zip(gradients(compiled), gradients(reference), strict=True):
        torch.testing.assert_close(mine, other)


def test_coverage_sums_to_the_true_area():
    scenes = scenes_with_tables(12, 64)
    fine = drawn(replace(scenes, camera=enlarged(scenes.camera, 8))).coverage
    true = (fine > 0.5).double().sum(dim=(1, 2)) / 64
    torch.testing.assert_close(drawn(scenes).coverage.sum(dim=(1, 2)), true, rtol=0.01, atol=0.5)


def test_gradients_of_the_camera_equal_finite_differences():
    scenes = scenes_with_tables()
    weights = torch.randn(6, 3, 24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    finite = drawn(scenes).depth.isfinite()

    def loss(moves):
        backdrop = drawn(perturb_poses(scenes, moves, MESHES))
        return (backdrop.rgb * weights).sum() + torch.where(finite, backdrop.depth, 0.0).sum()

    rest = torch.zeros(6, 12, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(rest), rest)
    assert (gradient[:, :6] == 0).all()
    for k in range(6, 12):
        step = torch.zeros(6, 12, dtype=torch.float64)
        step[:, k] = 1e-6
        difference = (loss(step) - loss(-step)) / 2e-6
        torch.testing.assert_close(gradient[:, k].sum(), difference.detach(), rtol=1e-5, atol=1e-5)


def test_depth_is_where_the_ray_meets_the_table():
    scenes = scenes_with_tables()
    backdrop, camera = drawn(scenes), scenes.camera
    for b, y, x in backdrop.depth.isfinite().nonzero()[::97].tolist():
        pixel = torch.tensor([x + 0.5, y + 0.5, 1.0], dtype=torch.float64)
        ray = torch.linalg.solve(camera.K[b], pixel)
        point = camera.T_world_camera[b, :3] @ torch.cat([ray * backdrop.depth[b, y, x], ray.new_ones(1)])
        assert abs(point[2]) < 1e-9
        assert (point[:2].abs() < scenes.table.size[b] / 2 + 0.1).all()


@pytest.mark.parametrize("height", [0.3, -0.3, 0.0])
def test_a_table_is_seen_from_above_and_below_and_not_from_its_edge(height):
    camera = orbiting(torch.tensor([[0.6, 0.0, height]], dtype=torch.float64), 32)
    size = torch.full((1, 2), 0.4, dtype=torch.float64)
    table = TableBatch(size, torch.ones(1, 3, dtype=torch.float64))
    lights, background = light(1), torch.zeros(1, 3, dtype=torch.float64)
    backdrop = table_and_background(table, background, camera, lights)
    assert backdrop.rgb.isfinite().all()
    assert bool((backdrop.coverage == 1).any()) == (height != 0)
    if height:
        cosine = lights.direction[0, 2] if height > 0 else 0.0
        expected = lights.ambient[0, 0] + lights.diffuse[0, 0] * cosine
        torch.testing.assert_close(backdrop.rgb.max(), expected)


def test_without_a_table_there_is_background_everywhere():
    scenes = scenes_with_tables()
    none = replace(scenes, table=replace(scenes.table, size=torch.zeros(6, 2, dtype=torch.float64)))
    backdrop = drawn(none)
    assert torch.equal(backdrop.rgb, scenes.background[..., None, None].expand_as(backdrop.rgb))
    assert (backdrop.coverage == 0).all()
    assert backdrop.depth.isinf().all()

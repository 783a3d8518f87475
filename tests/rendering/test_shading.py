from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import light, looking_down, one_object, orbiting, tile

from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.scene.batch import CameraBatch, LightBatch

KERNELS = ["numba", "torch"]


def drawn(mesh, camera, lights, kernels, rotation=None, position=(0.0, 0.0, 0.0)):
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("mesh", mesh)]), EmbeddedSettings(kernels=kernels))
    objects = one_object(torch.tensor([position], dtype=torch.float64), rotation)
    return engine.layers(objects, camera, lights)


def rotated(angle, axis):
    return matrix_from_rotation_vector(angle * torch.tensor([axis], dtype=torch.float64))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("angle", [0.0, 0.5, -0.9, 2.5, 3.1])
def test_a_matte_square_has_the_colour_that_lambert_says(kernels, angle):
    lights = light(1)
    rotation = rotated(angle, [1.0, 0.0, 0.0])
    layers = drawn(tile(), looking_down(1, 16, 0.15), lights, kernels, rotation)
    normal = rotation[0, :, 2]
    towards_camera = normal if normal[2] > 0 else -normal
    cosine = (towards_camera * lights.direction[0]).sum().clamp(min=0)
    expected = lights.ambient[0] + lights.diffuse[0] * cosine
    inside = layers.alpha[0, 0] == 1
    assert inside.any()
    for channel in range(3):
        seen = layers.rgb[0, 0, channel][inside]
        torch.testing.assert_close(seen, expected[channel].expand_as(seen))


@pytest.mark.parametrize("kernels", KERNELS)
def test_depth_is_that_of_the_plane_along_the_camera_axis(kernels):
    camera = orbiting(torch.tensor([[0.2, 0.1, 0.15]], dtype=torch.float64), 24)
    layers = drawn(tile(0.2), camera, light(1), kernels)
    inside = (layers.alpha[0, 0] == 1).nonzero()
    pose = camera.T_world_camera[0]
    for y, x in inside[::7].tolist():
        pixel = torch.tensor([x + 0.5, y + 0.5, 1.0], dtype=torch.float64)
        ray = pose[:3, :3] @ torch.linalg.solve(camera.K[0], pixel)
        depth = -pose[2, 3] / ray[2]
        torch.testing.assert_close(layers.depth[0, 0, y, x], depth)


@pytest.mark.parametrize("kernels", KERNELS)
def test_vertex_colours_are_interpolated_perspectively_correct(kernels):
    """Colour is linear on the surface: at each pixel it is that of the point the ray meets."""
    mesh = tile(0.2)
    corners = (mesh.vertices[:, :2] / 0.2 + 0.5) * 0.8 + 0.1
    mesh = replace(mesh, colours=np.pad(corners, ((0, 0), (0, 1))).astype(np.float32))
    camera = orbiting(torch.tensor([[0.2, 0.05, 0.1]], dtype=torch.float64), 32)
    ones = torch.ones(1, 3, dtype=torch.float64)
    even = LightBatch(light(1).direction, 0 * ones, ones)
    layers = drawn(mesh, camera, even, kernels)
    pose = camera.T_world_camera[0]
    inside = (layers.alpha[0, 0] == 1).nonzero()
    assert len(inside) > 50
    for y, x in inside[::11].tolist():
        pixel = torch.tensor([x + 0.5, y + 0.5, 1.0], dtype=torch.float64)
        ray = pose[:3, :3] @ torch.linalg.solve(camera.K[0], pixel)
        point = pose[:3, 3] - ray * pose[2, 3] / ray[2]
        expected = (point[:2] / 0.2 + 0.5) * 0.8 + 0.1
        torch.testing.assert_close(layers.rgb[0, 0, :2, y, x], expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_texture_stands_upright_and_each_texel_where_it_belongs(kernels):
    """Seen from above with one pixel per texel, the image is the texture (v points up)."""
    texture = np.random.default_rng(0).uniform(0, 1, (8, 8, 3)).astype(np.float32)
    ones = torch.ones(1, 3, dtype=torch.float64)
    even = LightBatch(light(1).direction, 0 * ones, ones)
    layers = drawn(tile(1.0, texture), looking_down(1, 8, focal=8.0), even, kernels)
    inner = layers.rgb[0, 0, :, 1:-1, 1:-1]
    torch.testing.assert_close(
        inner, torch.from_numpy(texture).double().permute(2, 0, 1)[:, 1:-1, 1:-1], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_texture_far_away_shows_its_mean(kernels):
    """With 16 × 16 texels under a pixel, a fine checkerboard is grey, wherever the pixels fall."""
    texture = np.repeat(np.indices((128, 128)).sum(axis=0)[..., None] % 2, 3, axis=2).astype(np.float32)
    ones = torch.ones(1, 3, dtype=torch.float64)
    even = LightBatch(light(1).direction, 0 * ones, ones)
    layers = drawn(
        tile(1.0, texture), looking_down(1, 10, focal=8.0), even, kernels, position=(0.03, 0.01, 0)
    )
    inside = layers.alpha[0, 0] == 1
    torch.testing.assert_close(layers.rgb[0, 0, 0][inside], torch.full((int(inside.sum()),), 0.5).double())


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_shifted_principal_point_shifts_the_picture(kernels):
    camera = looking_down(1, 16, 0.3)
    shifted = CameraBatch(camera.K.clone(), camera.T_world_camera, 16, 16)
    shifted.K[:, 0, 2] += 3
    first = drawn(tile(), camera, light(1), kernels).rgb
    second = drawn(tile(), shifted, light(1), kernels).rgb
    torch.testing.assert_close(second[..., 3:], first[..., :-3])

"""Gradients of colours by the image's slopes: what they sum up to, and what they leave to the edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import light, looking_down, one_object

from inverse_graphics.benchmarks.scenes import table_top_scenes
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.embedded.shading import between_pixels
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import LightBatch

SIDE = 24
KERNELS = ["numba", "torch"]
CROCKERY = load_pack("crockery").library()


def ribbon(lip):
    """A strip of normals that point left and right of it, and turn over within a lip that is so wide, pixels.

    Flat, a pixel a unit of 1 / SIDE seen from 1 above; it covers the middle rows of the image.
    """
    across = np.array([-8, *np.linspace(-lip / 2, lip / 2, 5), 8]) / SIDE
    angles = np.radians([-55, *np.linspace(-55, 20, 5), 20])
    count = len(across)
    x, y = np.tile(across, 2), np.repeat([-6 / SIDE, 6 / SIDE], count)
    normals = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1)
    first = np.arange(count - 1)
    faces = [
        np.stack([first, first + 1, first + count + 1], 1),
        np.stack([first, first + count + 1, first + count], 1),
    ]
    return Mesh(
        vertices=np.stack([x, y, 0 * x], axis=1).astype(np.float32),
        faces=np.concatenate(faces),
        normals=np.tile(normals, (2, 1)).astype(np.float32),
        colours=np.full((2 * count, 3), 0.8, np.float32),
    )


def shift_of_a_row(lip, offset, settings):
    """The derivative of a row's summed red by the ribbon's shift in pixels, and the reds at its ends."""
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("ribbon", ribbon(lip))]), settings)
    shift = torch.tensor([[offset / SIDE, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    lights = LightBatch(torch.tensor([[1.0, 0.0, 0.2]]).double(), *torch.full((2, 1, 3), 0.5).double())
    row = engine.layers(one_object(shift), looking_down(1, SIDE), lights).rgb[0, 0, 0, SIDE // 2, 6:-6]
    (slope,) = torch.autograd.grad(row.sum(), shift)
    row = row.detach()
    return float(slope[0, 0]) / SIDE, float(row[0]), float(row[-1])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("lip", [0.05, 0.4, 1.5, 4.0])
@pytest.mark.parametrize("offset", [0.0, 0.13, 0.31, 0.5, 0.77])
def test_a_row_changes_by_what_moves_in_and_out_of_it_however_thin_a_lip_is(lip, offset, kernels):
    found, left, right = shift_of_a_row(lip, offset, EmbeddedSettings(kernels=kernels))
    assert abs(right - left) > 0.1
    assert found == pytest.approx(left - right, rel=1e-6)


def test_the_slope_at_the_centres_of_pixels_is_wrong_by_as_much_as_a_lip_is_thin():
    """Negative control: either a pixel's centre meets the lip, or none does."""
    exact = EmbeddedSettings(slopes="surface")
    for offset in (0.5, 0.0):
        found, left, right = shift_of_a_row(0.2, offset, exact)
        assert abs(found / (left - right) - 1) > 0.9


def roof():
    """Two squares, larger than the image, that meet in a ridge along y; each of one normal and colour."""
    left = np.array([[-1, -1, -0.3], [0, -1, 0], [0, 1, 0], [-1, 1, -0.3]])
    right = left[[1, 0, 3, 2]] * [-1, 1, 1]
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(
        vertices=np.concatenate([left, right]).astype(np.float32),
        faces=np.concatenate([faces, faces + 4]),
        normals=np.repeat([[-0.287, 0, 0.958], [0.287, 0, 0.958]], 4, axis=0).astype(np.float32),
        colours=np.repeat([[0.9, 0.2, 0.1], [0.1, 0.5, 0.9]], 4, axis=0).astype(np.float32),
    )


@pytest.mark.parametrize("kernels", KERNELS)
def test_where_colours_are_even_all_is_left_to_the_edges(kernels):
    """A ridge at any angle comes down as a stair: slopes across its steps would count its movement twice."""
    meshes = MeshLibrary.from_meshes([("roof", roof())])
    angles = torch.linspace(0.03, 3.0, 12, dtype=torch.float64)
    turns = matrix_from_rotation_vector(angles[:, None] * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    found = []
    for slopes in ("image", "surface"):
        engine = EmbeddedEngine(meshes, EmbeddedSettings(kernels=kernels, slopes=slopes))
        position = torch.full((12, 3), 0.01, dtype=torch.float64, requires_grad=True)
        rgb = engine.layers(one_object(position, turns), looking_down(12, SIDE, focal=40.0), light(12)).rgb
        weights = torch.randn(rgb.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        found.append(torch.autograd.grad((rgb * weights).sum(), position)[0])
    assert found[1].norm(dim=1).min() > 1
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
def test_pictures_are_the_same_whatever_gradients_look_at(kernels):
    scenes = table_top_scenes(3, 32, 32, CROCKERY, 3).to("cpu", torch.float64)
    scenes.objects.position.requires_grad_()
    one, other = (
        render(scenes, EmbeddedEngine(CROCKERY, EmbeddedSettings(kernels=kernels, slopes=slopes)))
        for slopes in ("image", "surface")
    )
    for mine, yours in zip(one, other, strict=True):
        assert torch.equal(mine, yours)


def test_slopes_between_pixels_equal_those_found_one_by_one():
    engine = EmbeddedEngine(CROCKERY)
    scenes = table_top_scenes(3, 40, 24, CROCKERY, 2).to("cpu", torch.float64)
    seen = engine.visibility(scenes.objects, replace(scenes.camera, K=3 * scenes.camera.K))
    fragments = seen.fragments[: seen.covered]
    at = {tuple(row): n for n, row in enumerate(fragments[:, :3].tolist())}
    crossed = set()
    for target, source, _, _, _, _, _, kind in seen.crossings.tolist():
        first, second = (source, target) if kind % 2 else (target, source)
        crossed |= {(first, kind // 2, 1), (second, kind // 2, -1)}
    rgb = torch.rand(3, len(fragments), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.zeros(2, 3, len(fragments), dtype=torch.float64)
    left_out = 0
    for (layer, x, y), n in at.items():
        for axis, step in enumerate(((1, 0), (0, 1))):
            m = at.get((layer, x + step[0], y + step[1]))
            if m is None:
                continue
            stair = any(
                (n, 1 - axis, side) in crossed and (m, 1 - axis, -side) in crossed for side in (1, -1)
            )
            if stair or (n, axis, 1) in crossed:
                left_out += 1
                continue
            for pixel in (n, m):
                expected[axis, :, pixel] += (rgb[:, m] - rgb[:, n]) / 2
    assert left_out > 20
    torch.testing.assert_close(between_pixels(rgb, fragments, seen.crossings), expected)


def test_nothing_seen_has_no_slopes():
    nothing = torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 8, dtype=torch.int32)
    assert between_pixels(torch.zeros(3, 0), *nothing).shape == (2, 3, 0)


def test_light_and_tint_have_the_same_gradients_either_way():
    scenes = table_top_scenes(2, 32, 32, CROCKERY, 2).to("cpu", torch.float64)
    found = []
    for slopes in ("image", "surface"):
        lights = light(2)
        lights.direction.requires_grad_()
        image = render(
            replace(scenes, light=lights), EmbeddedEngine(CROCKERY, EmbeddedSettings(slopes=slopes))
        ).image
        found.append(torch.autograd.grad(image.square().sum(), lights.direction)[0])
    torch.testing.assert_close(found[0], found[1])

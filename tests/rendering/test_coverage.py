from dataclasses import replace

import pytest
import torch
from table_scenes import (
    ball,
    bowl,
    cube,
    handled,
    library,
    looking_down,
    one_object,
    orbiting,
    random_scenes,
    ring,
    tile,
)

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.supersampled import enlarged

SHAPES = {"cube": cube, "ball": ball, "ring": ring, "bowl": bowl, "handled": handled}


def alpha_of(engine, scenes, camera=None):
    with torch.no_grad():
        return engine.layers(scenes.objects, camera or scenes.camera, scenes.light).alpha


def hard_area(engine, scenes, times=8):
    """True area in pixels: pixel centres covered in a image of `times` as many rows and columns."""
    fine = enlarged(scenes.camera, times)
    found = engine.visibility(scenes.objects, fine)
    layer, x, y, _ = found.fragments[: found.covered].long().unbind(1)
    inside = (x >= 0) & (x < fine.width) & (y >= 0) & (y < fine.height)
    return torch.bincount(layer[inside], minlength=scenes.objects.asset.numel()) / times**2


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("side", "distance"), [(64, 0.45), (64, 0.3), (96, 0.3)])
def test_summed_alpha_is_the_true_area_within_one_percent(name, side, distance):
    engine = EmbeddedEngine(MeshLibrary.from_meshes([(name, SHAPES[name]())]))
    scenes = random_scenes(engine.library, 12, 1, side, seed=side, distance=distance)
    true = hard_area(engine, scenes)
    assert true.min() > 80
    error = alpha_of(engine, scenes).sum(dim=(1, 2, 3)) / true - 1
    assert error.abs().max() < 0.01
    assert error.mean().abs() < 0.003  # no bias: errors of single images cancel


def test_alpha_stays_between_zero_and_one_and_pixels_within_are_full():
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("cube", cube()), ("ball", ball())]))
    scenes = random_scenes(engine.library, 12, 2, 40, seed=5)
    alpha = alpha_of(engine, scenes)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    inner = torch.nn.functional.max_pool2d((alpha == 0).double(), 5, 1, 2) == 0
    assert inner.sum() > 100
    assert (alpha[inner] == 1).all()


def square_at(x, side=8, length=4.0):
    """Alpha of a square of `length` pixels, its left edge at x pixels, seen from straight above."""
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("tile", tile(1.0))]))
    camera = looking_down(1, side, height_m=1.0, focal=length)
    position = torch.tensor([[(x + length / 2 - side / 2) / length, 0.0, 0.0]], dtype=torch.float64)
    objects = one_object(position)
    light = random_scenes(engine.library, 1, 1, 4, seed=0).light
    return engine.layers(objects, camera, light).alpha[0, 0]


@pytest.mark.parametrize("x", [1.5, 0.5, 2.0, 2.3, 2.7, 2.999, 2.001])
def test_alpha_is_the_covered_share_of_the_pixel(x):
    row = square_at(x)[4]
    left = torch.arange(8, dtype=torch.float64)
    share = ((left + 1).clamp(max=x + 4) - left.clamp(min=x)).clamp(0, 1)
    torch.testing.assert_close(row, share, atol=1e-9, rtol=0)


def test_alpha_is_one_half_where_the_edge_crosses_a_pixel_centre():
    alpha = square_at(2.5)
    torch.testing.assert_close(alpha[3:5, 2], torch.full((2,), 0.5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_corner_pixel_has_the_product_of_both_shares():
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("tile", tile(1.0))]))
    light = random_scenes(engine.library, 1, 1, 4, seed=0).light
    position = torch.tensor([[0.3 / 4, -0.4 / 4, 0.0]], dtype=torch.float64)
    alpha = engine.layers(one_object(position), looking_down(1, 8, focal=4.0), light).alpha[0, 0]
    expected = 0.7 * torch.tensor([0.0, 0.6, 1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(alpha[1:6, 2], expected)


def test_an_object_half_outside_keeps_the_share_of_its_border_pixels():
    alpha = square_at(-2.25)
    torch.testing.assert_close(alpha[4, :3], torch.tensor([1, 0.75, 0]).double(), atol=1e-9, rtol=0)
    alpha = square_at(-3.75)  # the edge lies between the first centre and the border
    torch.testing.assert_close(alpha[4, :2], torch.tensor([0.25, 0]).double(), atol=1e-9, rtol=0)


def test_a_handle_before_its_body_is_blended_though_alpha_is_full():
    """Self-occlusion: some colours lie between the handle's and the body's where alpha is 1."""
    engine = EmbeddedEngine(MeshLibrary.from_meshes([("handled", handled())]))
    scenes = random_scenes(engine.library, 1, 1, 64, seed=1, distance=0.3)
    ones = torch.ones(1, 3, dtype=torch.float64)
    even = replace(scenes.light, ambient=ones, diffuse=0 * ones)
    turn = torch.eye(3, dtype=torch.float64)[None]
    camera = orbiting(torch.tensor([[0.25, 0.02, 0.1]], dtype=torch.float64), 64)
    layers = engine.layers(one_object(torch.zeros(1, 3).double(), turn), camera, even)
    grey = layers.rgb[0, 0, 0][layers.alpha[0, 0] == 1]
    assert ((grey - 0.3).abs() < 1e-6).any()
    assert ((grey - 0.9).abs() < 1e-6).any()
    assert ((grey > 0.35) & (grey < 0.85)).sum() > 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float32_and_float64_draw_the_same(dtype):
    engine = EmbeddedEngine(library())
    scenes = random_scenes(engine.library, 6, 2, 48, seed=9)
    exact = engine.layers(scenes.objects, scenes.camera, scenes.light)
    cast = scenes.to("cpu", dtype)
    drawn = engine.layers(cast.objects, cast.camera, cast.light)
    assert drawn.rgb.dtype == dtype
    differs = (drawn.alpha.double() - exact.alpha).abs() > 1e-3
    assert differs.double().mean() < 2e-4  # a rounded pose may move an edge across a pixel centre
    assert (drawn.rgb.double() - exact.rgb)[~differs[:, :, None].expand_as(exact.rgb)].abs().mean() < 1e-4

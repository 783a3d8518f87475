"""The table hides what is below it, in every engine, with gradients; what stands on it stays bit by bit."""

from dataclasses import replace

import pytest
import torch

from inverse_graphics.families.registry import load_family
from inverse_graphics.packs.pack import load_library
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import (
    compose,
    compose_in_torch,
    composite_layers,
    composite_prefixes,
    seen_before_table,
)
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.engines import available_engines, make_engine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene
from inverse_graphics.scene.scene_file import load_scene, shipped_scenes

ENGINES = [
    pytest.param(one.name, marks=pytest.mark.skipif(not one.works, reason=f"{one.name}: {one.reason}"))
    for one in available_engines()
]
LIBRARY = load_library(["primitives/cylinder", "primitives/sphere", "primitives/cube", "crockery/mug"])
HALF_CYLINDER = 0.06


def scene(*objects, elevation=35.0, size=96, table=(0.9, 0.7)):
    """Objects as (asset, x, y, z of the origin)."""
    document = {
        "camera": {
            "width_px": size,
            "height_px": size,
            "orbit": {"azimuth_degrees": -80, "elevation_degrees": elevation, "distance_m": 1.2},
        },
        "table": table and {"size_m": list(table)},
        "objects": [{"asset": asset, "position_m": place} for asset, *place in objects],
    }
    return SceneBatch.from_scenes([Scene.model_validate(document)], LIBRARY)


def backdrop_of(batch):
    return table_and_background(batch.table, batch.background, batch.camera, batch.light)


def heights(batch, rendering):
    """World z of the visible point of each pixel, (H, W); NaN on the background."""
    camera = batch.camera
    down, right = torch.meshgrid(
        torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
    )
    rays = (
        torch.stack([right, down, torch.ones_like(right)], -1).to(camera.K) @ torch.linalg.inv(camera.K[0]).T
    )
    pose = camera.T_world_camera[0]
    z = (rays * rendering.depth[0][..., None]) @ pose[2, :3] + pose[2, 3]
    return torch.where(rendering.depth[0].isfinite(), z, torch.nan)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_can_under_the_table_is_not_seen(engine):
    drawing = make_engine(engine, LIBRARY)
    under = scene(("primitives/cylinder", 0, 0, -0.08 - HALF_CYLINDER))
    with torch.no_grad():
        seen, empty = render(under, drawing), render(scene(), drawing)
    assert not (seen.instance_mask == 0).any()
    torch.testing.assert_close(seen.depth, empty.depth)
    if engine != "mujoco-shadows":  # whose shadow map depends on what there is
        torch.testing.assert_close(seen.image, empty.image, atol=1e-6, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("elevation", [20.0, 45.0, 75.0])
def test_of_a_half_sunk_object_the_upper_half_is_seen(engine, elevation):
    """Points at object pixels are hardly more below the table than a pixel is wide."""
    drawing = make_engine(engine, LIBRARY)
    half = scene(("primitives/sphere", 0, 0, 0), elevation=elevation, size=240)
    whole = scene(("primitives/sphere", 0, 0, 0), elevation=elevation, size=240, table=None)
    with torch.no_grad():
        seen, floating = render(half, drawing), render(whole, drawing)
    pixel = 1.2 / float(half.camera.K[0, 0, 0])
    lowest = heights(half, seen)[seen.instance_mask[0] == 0].min()
    assert lowest > -1.6 * pixel
    share = float((seen.instance_mask == 0).sum() / (floating.instance_mask == 0).sum())
    # a half sphere seen at elevation e covers (1 + sin e) / 2 of the disc
    expected = (1 + torch.tensor(elevation).deg2rad().sin()) / 2
    assert share == pytest.approx(float(expected), abs=0.08)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_below_but_beside_the_table_is_seen(engine):
    drawing = make_engine(engine, LIBRARY)
    beside = scene(("primitives/cube", 0, -0.35, -0.2), table=(0.9, 0.3), elevation=60)
    with torch.no_grad():
        seen = render(beside, drawing)
        whole = render(scene(("primitives/cube", 0, -0.35, -0.2), table=(0.02, 0.02), elevation=60), drawing)
    assert int((seen.instance_mask == 0).sum()) == int((whole.instance_mask == 0).sum()) > 20


def test_from_below_the_table_hides_what_stands_on_it():
    above = scene(("crockery/mug", 0, 0, 0.08))
    pose = above.camera.T_world_camera.clone()
    pose[:, 2] *= -1  # reflected at the table: the camera below it looks up
    pose[:, :3, 0] *= -1
    below = above.replace(camera=replace(above.camera, T_world_camera=pose))
    engine = EmbeddedEngine(LIBRARY)
    with torch.no_grad():
        assert (render(above, engine).instance_mask == 0).any()
        assert not (render(below, engine).instance_mask == 0).any()
        hanging = below.replace(objects=replace(below.objects, position=torch.tensor([[[0.0, 0.0, -0.2]]])))
        assert (render(hanging, engine).instance_mask == 0).any()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [(64, 64), (200, 150)])
def test_what_stands_on_the_table_is_not_touched(engine, size):
    """The very same layers: images of shipped scenes are what they were, bit by bit."""
    for name in shipped_scenes():
        read = load_scene(name)
        library = load_library(placed.asset for placed in read.objects)
        batch = SceneBatch.from_scenes(
            [read.model_copy(update={"camera": read.camera.resized(*size)})], library
        )
        layers = make_engine(engine, library).layers(batch.objects, batch.camera, batch.light)
        assert seen_before_table(layers, backdrop_of(batch)) is layers, name


@pytest.mark.parametrize("size", [48, 64, 160])
def test_what_families_place_is_not_touched(size):
    family = load_family("table_top")
    batch = family.sample(300, torch.Generator().manual_seed(size)).scene
    camera = replace(
        batch.camera,
        K=batch.camera.K * torch.tensor([size / 64, size / 64, 1])[:, None],
        height=size,
        width=size,
    )
    batch = batch.replace(camera=camera)
    engine = EmbeddedEngine(family.library)
    with torch.no_grad():
        layers = engine.layers(batch.objects, batch.camera, batch.light)
    assert seen_before_table(layers, backdrop_of(batch)) is layers
    assert not engine._some_behind_table(batch)


def sunk(dtype=torch.float64):
    batch = scene(("primitives/sphere", 0.05, 0, 0.01), ("crockery/mug", -0.08, 0.05, -0.04), size=40)
    return batch.to("cpu", dtype)


def test_kernels_and_torch_agree_on_what_is_hidden():
    batch = sunk()
    engine = EmbeddedEngine(LIBRARY)
    layers, backdrop = engine.layers(batch.objects, batch.camera, batch.light), backdrop_of(batch)
    compiled = compose(layers, backdrop)
    for one, other in zip(
        compiled, compose_in_torch(seen_before_table(layers, backdrop), backdrop), strict=True
    ):
        torch.testing.assert_close(one, other)
    for one, other in zip(compiled, engine.render_scene(batch), strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(composite_prefixes(layers, backdrop)[:, -1], compiled.image)


@pytest.mark.parametrize("moved", ["position", "scale", "tint", "T_world_camera", "size"])
def test_gradients_of_what_remains_are_those_of_finite_differences(moved):
    batch = sunk()
    engine = EmbeddedEngine(LIBRARY, EmbeddedSettings(slopes="surface"))
    generator = torch.Generator().manual_seed(3)
    weights = [torch.randn(1, *shape, 40, 40, generator=generator).double() for shape in ((3,), (), ())]

    def value(batch):
        seen = composite_layers(batch, engine)
        depth = torch.where(seen.depth.isfinite(), seen.depth, 0.0)
        return sum((w * part).sum() for w, part in zip(weights, (seen.image, seen.alpha, depth), strict=True))

    part = {"T_world_camera": batch.camera, "size": batch.table}.get(moved, batch.objects)
    name = {"T_world_camera": "camera", "size": "table"}.get(moved, "objects")
    start = getattr(part, moved)
    direction = torch.randn(start.shape, generator=generator).double()
    if moved == "T_world_camera":
        direction[:, :, :3] = 0  # a translation
        direction[:, 3] = 0

    def at(step):
        return batch.replace(**{name: replace(part, **{moved: step})})

    free = start.clone().requires_grad_()
    value(at(free)).backward()
    assert free.grad is not None
    step = 1e-7
    with torch.no_grad():
        ahead, behind = (value(at(start + sign * step * direction)) for sign in (1, -1))
    numeric = float(ahead - behind) / (2 * step)
    assert float((free.grad * direction).sum()) == pytest.approx(numeric, rel=2e-3, abs=1e-4)
    assert abs(numeric) > 1e-3

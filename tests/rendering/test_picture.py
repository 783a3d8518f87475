"""Whole scenes drawn at once against their layers, composited."""

from dataclasses import replace

import pytest
import torch
from table_scenes import cube, library, random_scenes, tile

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.compositing import composite_layers
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.rendering import SceneEngine, render

MESHES = library()
ENGINE = EmbeddedEngine(MESHES)
SIZES = [(17, 0.15), (48, 0.7), (33, 0.3)]


def scenes_at(side, distance, dtype=torch.float64, count=5):
    scenes = random_scenes(MESHES, count, 3, side, seed=side, distance=distance)
    asset = scenes.objects.asset.clone()
    asset[0], asset[1, 1] = -1, -1
    crossing = scenes.objects.position * 0.4  # objects reach into each other
    return replace(scenes, objects=replace(scenes.objects, asset=asset, position=crossing)).to("cpu", dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("side", "distance"), SIZES)
def test_a_picture_equals_its_layers_bit_by_bit(side, distance, dtype):
    scenes = scenes_at(side, distance, dtype)
    drawn, reference = ENGINE.render_scene(scenes), composite_layers(scenes, ENGINE)
    assert set(reference.mask.unique().tolist()) == {-2, -1, 0, 1, 2}
    for mine, other in zip(drawn, reference, strict=True):
        assert mine.dtype == other.dtype
        assert torch.equal(mine, other)


def leaves_of(scenes):
    """The scenes with every real number a leaf, and these leaves."""
    found = []

    def leafy(batch):
        values = {}
        for name, value in vars(batch).items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                found.append(value.clone().requires_grad_())
                values[name] = found[-1]
            elif hasattr(value, "__dataclass_fields__"):
                values[name] = leafy(value)
        return replace(batch, **values)

    return leafy(scenes), found


@pytest.mark.parametrize(("side", "distance"), SIZES)
def test_gradients_of_a_picture_equal_those_through_its_layers(side, distance):
    generator = torch.Generator().manual_seed(side)
    scenes, leaves = leaves_of(scenes_at(side, distance))
    drawn, reference = ENGINE.render_scene(scenes), composite_layers(scenes, ENGINE)
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in reference]

    def gradients(parts):
        seen = [torch.where(part.isfinite(), part, 0.0) for part in parts[:3]]
        total = [(part * weight).sum() for part, weight in zip(seen, weights, strict=False)]
        return torch.autograd.grad(torch.stack(total).sum(), leaves)

    for mine, other in zip(gradients(drawn), gradients(reference), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
        assert other.abs().max() > 0 or other.shape == scenes.table.size.shape


def test_only_what_asks_for_gradients_gets_them():
    scenes = scenes_at(24, 0.5)
    position = scenes.objects.position.clone().requires_grad_()
    render(replace(scenes, objects=replace(scenes.objects, position=position)), ENGINE).image.sum().backward()
    background = scenes.background.clone().requires_grad_()
    image = render(replace(scenes, background=background), ENGINE).image
    image.sum().backward()
    assert position.grad.abs().max() > 0
    assert (background.grad > 0).all()
    assert not render(scenes, ENGINE).image.requires_grad


def test_pieces_of_a_batch_do_not_change_pictures():
    scenes, threads = scenes_at(24, 0.5, count=7), torch.get_num_threads()
    drawn = ENGINE.render_scene(scenes)
    try:
        torch.set_num_threads(3)
        again = ENGINE.render_scene(scenes)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(mine, other) for mine, other in zip(drawn, again, strict=True))


def test_scenes_without_objects_show_the_backdrop():
    scenes = scenes_at(16, 0.6)
    empty = {name: value[:, :0] for name, value in vars(scenes.objects).items()}
    scenes = replace(scenes, objects=replace(scenes.objects, **empty))
    drawn = render(scenes, ENGINE)
    assert (drawn.alpha == 0).all()
    assert set(drawn.instance_mask.unique().tolist()) == {-2, -1}
    assert drawn.depth.isfinite().any()


def test_any_kernels_and_wrapped_engines_draw_the_same_scene():
    meshes = MeshLibrary.from_meshes([("tile", tile()), ("cube", cube())])
    scenes = random_scenes(meshes, 2, 2, 20, seed=3)
    drawn = [render(scenes, EmbeddedEngine(meshes, EmbeddedSettings(kernels=k))) for k in ("numba", "torch")]
    assert isinstance(ENGINE, SceneEngine)
    for mine, other in zip(*drawn, strict=True):
        torch.testing.assert_close(mine, other)

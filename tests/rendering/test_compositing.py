from dataclasses import replace

import pytest
import torch
from table_scenes import library, random_scenes

from inverse_graphics.rendering.backdrop import Backdrop, table_and_background
from inverse_graphics.rendering.compositing import (
    BACKGROUND,
    TABLE,
    compose,
    compose_in_torch,
    composite,
    composite_prefixes,
    prefixes_in_torch,
    seen_before_table,
)
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.rendering import render


def random_layers(layers, seed, bare=0.5):
    """Layers that are empty in a share `bare` of their pixels, and a backdrop; all leaves."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    alpha = ((uniform(3, layers, 5, 7) - bare) / (1 - bare)).clamp(min=0)
    depth = torch.where(alpha > 0, 1 + uniform(3, layers, 5, 7), torch.inf)
    parts = [
        uniform(3, layers, 3, 5, 7) * alpha[:, :, None], depth, alpha,
        uniform(3, 3, 5, 7), uniform(3, 5, 7), uniform(3, 5, 7),
    ]  # fmt: skip
    parts = [part.requires_grad_() for part in parts]
    return parts, Layers(*parts[:3]), Backdrop(*parts[3:])


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("bare", [0.0, 0.7])
def test_compiled_compositing_and_its_gradients_equal_plain_torch(count, bare):
    leaves, layers, backdrop = random_layers(count, seed=count, bare=bare)
    compiled, plain = compose(layers, backdrop), compose_in_torch(layers, backdrop)
    assert torch.equal(compiled.mask, plain.mask)
    for mine, reference in zip(compiled, plain, strict=True):
        torch.testing.assert_close(mine, reference)
    weights = [torch.randn_like(part) for part in plain[:3]]
    over = torch.randn(3, count + 1, 3, 5, 7, dtype=torch.float64)

    def gradients(parts, prefixes):
        sums = [
            (torch.where(part.isfinite(), part, 0.0) * weight).sum()
            for part, weight in zip(parts[:3], weights, strict=True)
        ]
        return torch.autograd.grad(sum(sums) + (prefixes * over).sum(), leaves, materialize_grads=True)

    for mine, reference in zip(
        gradients(compiled, composite_prefixes(layers, backdrop)),
        gradients(plain, prefixes_in_torch(layers, backdrop)),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference)


def test_prefixes_are_the_pictures_of_the_truncated_scenes():
    meshes = library()
    engine = EmbeddedEngine(meshes)
    scenes = random_scenes(meshes, 4, 3, 32, seed=8, distance=0.45)
    layers = engine.layers(scenes.objects, scenes.camera, scenes.light)
    backdrop = table_and_background(scenes.table, scenes.background, scenes.camera, scenes.light)
    prefixes = composite_prefixes(layers, backdrop)
    for count in range(4):
        asset = scenes.objects.asset.clone()
        asset[:, count:] = -1
        shorter = replace(scenes, objects=replace(scenes.objects, asset=asset))
        torch.testing.assert_close(prefixes[:, count], render(shorter, engine).image)
        cut = scenes.objects[:, :count]
        torch.testing.assert_close(prefixes[:, count], render(replace(scenes, objects=cut), engine).image)
    assert (prefixes[:, 1:] - prefixes[:, :-1]).abs().amax(dim=(2, 3, 4)).min() > 0.01


def test_the_order_of_slots_does_not_matter():
    meshes = library()
    engine = EmbeddedEngine(meshes)
    scenes = random_scenes(meshes, 4, 3, 32, seed=9, distance=0.45)
    order = torch.tensor([2, 0, 1])
    shuffled = scenes.objects[:, order]
    first, second = render(scenes, engine), render(replace(scenes, objects=shuffled), engine)
    torch.testing.assert_close(first.image, second.image)
    torch.testing.assert_close(first.depth, second.depth)
    named = torch.where(second.instance_mask >= 0, order[second.instance_mask], second.instance_mask)
    assert torch.equal(first.instance_mask, named)


def test_mask_and_depth_name_what_is_seen_most():
    meshes = library()
    scenes = random_scenes(meshes, 4, 2, 32, seed=4, distance=0.6)
    engine = EmbeddedEngine(meshes)
    drawn = render(scenes, engine)
    mask = drawn.instance_mask
    assert set(mask.unique().tolist()) == {BACKGROUND, TABLE, 0, 1}
    assert torch.equal(mask == BACKGROUND, drawn.depth.isinf())
    behind = table_and_background(scenes.table, scenes.background, scenes.camera, scenes.light)
    layers = seen_before_table(engine.layers(scenes.objects, scenes.camera, scenes.light), behind)
    full = layers.alpha == 1
    only = full[:, 0] & (layers.alpha[:, 1] == 0)
    assert (mask[only] == 0).all()
    both = full.all(dim=1)
    nearer = layers.depth.argmin(dim=1)
    assert torch.equal(mask[both], nearer[both])
    assert torch.equal(drawn.alpha == 0, (layers.alpha == 0).all(dim=1))


def test_composite_is_the_image_of_compose_and_nearer_hides_farther():
    _, layers, backdrop = random_layers(2, seed=1)
    torch.testing.assert_close(composite(layers, backdrop), compose(layers, backdrop).image)
    alpha = torch.ones(1, 2, 2, 2)
    depth = torch.stack([torch.full((2, 2), 2.0), torch.full((2, 2), 1.0)])[None]
    rgb = torch.stack([torch.full((3, 2, 2), 0.9), torch.full((3, 2, 2), 0.2)])[None]
    behind = Backdrop(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), torch.full((1, 2, 2), torch.inf))
    assert (composite(Layers(rgb, depth, alpha), behind) == 0.2).all()

"""Whatever is drawn, and its gradients, are numbers."""

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_scenes import library, random_scenes

from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.rendering import render

MESHES = library()
ENGINES = {name: EmbeddedEngine(MESHES, EmbeddedSettings(kernels=name)) for name in ("numba", "torch")}
MAGNITUDES = st.sampled_from([0.0, 1e-30, 1e-9, 1e-3, 0.05, 0.2, 1.0, 1e3, 1e9, 1e20, 1e30])


@pytest.mark.parametrize("kernels", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    shift=MAGNITUDES,
    scale=MAGNITUDES,
    distance=MAGNITUDES,
    side=st.integers(1, 20),
)
@example(seed=0, shift=0.0, scale=1e20, distance=1.0, side=8)
@example(seed=0, shift=1e30, scale=1.0, distance=1e30, side=8)
def test_pictures_and_gradients_are_finite(kernels, dtype, seed, shift, scale, distance, side):
    scenes = random_scenes(MESHES, 2, 2, side, seed).to("cpu", dtype)
    pose = scenes.camera.T_world_camera.clone()
    pose[:, :3, 3] *= distance
    leaves = [
        (scenes.objects.position * shift).requires_grad_(),
        scenes.objects.rotation.clone().requires_grad_(),
        (scenes.objects.scale * scale).requires_grad_(),
        pose.requires_grad_(),
    ]
    objects = replace(scenes.objects, position=leaves[0], rotation=leaves[1], scale=leaves[2])
    camera = replace(scenes.camera, T_world_camera=leaves[3])
    drawn = render(replace(scenes, objects=objects, camera=camera), ENGINES[kernels])
    assert drawn.image.isfinite().all()
    assert drawn.alpha.isfinite().all()
    assert not drawn.depth.isnan().any()
    if max(shift, scale, distance) <= 1e9:
        depth = torch.where(drawn.depth.isfinite(), drawn.depth, 0.0)
        loss = drawn.image.sum() + drawn.alpha.sum() + depth.sum()
        for gradient in torch.autograd.grad(loss, leaves):
            assert gradient.isfinite().all()


@pytest.mark.parametrize("kernels", ENGINES)
def test_objects_thinner_than_a_pixel_are_drawn_or_not_but_never_wrong(kernels):
    scenes = random_scenes(MESHES, 8, 2, 16, seed=1)
    tiny = replace(scenes.objects, scale=0.01 * scenes.objects.scale)
    layers = ENGINES[kernels].layers(tiny, scenes.camera, scenes.light)
    assert layers.alpha.isfinite().all()
    assert layers.alpha.sum(dim=(2, 3)).max() < 2

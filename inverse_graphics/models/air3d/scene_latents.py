"""Rendering of scene latents: whole scenes and those of their first n objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.render.backdrop import table_and_background
from inverse_graphics.render.compositing import composite_prefixes
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.pictures import render
from inverse_graphics.scene.batch import depth_order
from inverse_graphics.scene.camera_batch import depth_before
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class Prefixes(TensorBatch):
    """What scenes look like with their first 0 … N objects.

    images: (B, N + 1, 3, H, W).  explained: (B, N + 1, 1, H, W), the share of each pixel that these objects
    cover.  scenes: whose prefixes they are.
    """

    images: Tensor
    explained: Tensor
    scenes: SceneLatents


def draw_prefixes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Draw all prefixes of each scene from one rendering of all its objects; the last is the whole scene."""
    scene = space.scene(scenes)
    layers = engine.layers(scene.objects, scene.camera, scene.light)
    backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
    nothing = torch.ones_like(backdrop.coverage)[:, None]
    clear = torch.cat([nothing, 1 - layers.alpha], dim=1).cumprod(dim=1)
    return Prefixes(composite_prefixes(layers, backdrop), 1 - clear[:, :, None], scenes)


def draw_step_inputs(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Draw what the steps are shown: the scenes with their first 0 … N − 1 objects, the last left out."""
    steps = scenes.asset.shape[1]
    return draw_prefixes(scenes.first_slots(steps - 1), space, engine).replace(scenes=scenes)


def draw_scenes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Tensor:
    """Draw whole scenes: (B, 3, H, W), differentiable where the engine is."""
    scene = space.scene(scenes)
    return render(scene, engine).image


def draw_from_prior(
    space: SceneSpace, engine: RenderEngine, count: int, generator: torch.Generator
) -> tuple[SceneLatents, Tensor]:
    """Scenes of the family, nearest object first, and images of them without noise, lit as the family says.

    Returns `count` scenes, and (count, 3, H, W).
    """
    sample = space.family.sample(count, generator)
    with torch.no_grad():
        return sample.latents, render(sample.scene, engine).image


def visible_orientations(scenes: SceneLatents, space: SceneSpace) -> SceneLatents:
    """The same with rotations for orientations, and the identity for kinds that look the same in all."""
    observable = space.orientation_observable[scenes.asset.clamp(min=0)][..., None, None]
    return scenes.replace(orientation=torch.where(observable, scenes.rotation, torch.eye(3).to(scenes.orbit)))


def nearest_first(scenes: SceneLatents, space: SceneSpace) -> SceneLatents:
    """Objects in the order in which families give them: by depth before the camera, empty slots last."""
    return scenes.take_slots(depth_order(scenes.asset, depths(scenes, space)))


def depths(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """How far before the camera objects' origins lie: (B, N), metres, infinite for empty slots."""
    camera = space.cameras(scenes.orbit, scenes.K)
    depth = depth_before(space.world(scenes.position), camera)
    return depth.masked_fill(scenes.asset < 0, torch.inf)

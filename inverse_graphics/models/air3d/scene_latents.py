"""Rendering of scene latents and of their prefixes, the scenes of their first n objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.model import ObservationModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import depth_order
from inverse_graphics.scene.camera_batch import depth_before
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class Prefixes(TensorBatch):
    """Renders of the first 0 … N objects of scenes.

    Attributes:
        renders: (B, N + 1, …), renders of the prefixes.
        scenes: the complete scenes.
    """

    renders: Rendered
    scenes: SceneLatents


def draw_prefixes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Composite all prefixes of each scene from one rendering of its layers; the last is the whole scene."""
    scene = space.scene(scenes)
    layers = engine.layers(scene.objects, scene.camera, scene.light)
    backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
    return Prefixes(Rendered.from_prefixes(layers, backdrop), scenes)


def draw_step_inputs(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Render the inputs of the steps: the prefixes of 0 … N − 1 objects."""
    steps = scenes.asset.shape[1]
    return draw_prefixes(scenes.first_slots(steps - 1), space, engine).replace(scenes=scenes)


def draw_scenes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Rendered:
    """Render scenes; differentiable if the engine is."""
    return Rendered.from_rendering(render(space.scene(scenes), engine))


def draw_from_prior(
    space: SceneSpace, engine: RenderEngine, count: int, generator: torch.Generator
) -> tuple[SceneLatents, Rendered]:
    """Sample `count` scenes of the family, nearest object first, and render them with the family's lights."""
    sample = space.family.sample(count, generator).to(space.reach.device)
    with torch.no_grad():
        drawn = render(sample.scene, engine)
    return sample.latents, Rendered.from_rendering(drawn)


def observe(
    scenes: SceneLatents, render: Rendered, model: ObservationModel, generator: torch.Generator
) -> Observation:
    """Sample noisy observations of rendered scenes, with the scenes' intrinsics."""
    return model.sample(render, generator).replace(K=scenes.K)


def visible_orientations(scenes: SceneLatents, space: SceneSpace) -> SceneLatents:
    """Convert orientations to rotations, with the identity for kinds without an observable orientation."""
    observable = space.orientation_observable[scenes.asset.clamp(min=0)][..., None, None]
    return scenes.replace(orientation=torch.where(observable, scenes.rotation, torch.eye(3).to(scenes.orbit)))


def nearest_first(scenes: SceneLatents, space: SceneSpace) -> SceneLatents:
    """Sort objects by depth, as families do; empty slots last."""
    return scenes.take_slots(depth_order(scenes.asset, depths(scenes, space)))


def depths(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """Depth of the objects' origins along the camera's z axis: (B, N), metres, infinite for empty slots."""
    camera = space.cameras(scenes.orbit, scenes.K)
    depth = depth_before(space.world(scenes.position), camera)
    return depth.masked_fill(scenes.asset < 0, torch.inf)

"""Whole scenes as the network speaks of them, and their first n objects drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneSample
from inverse_graphics.geometry.transforms import matrix_from_yaw
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.observation import Rendered
from inverse_graphics.render.backdrop import table_and_background
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.pictures import render
from inverse_graphics.scene.batch import depth_order, take_slots
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class SceneLatents(TensorBatch):
    """B scenes of up to N objects, in the order in which they are to be inferred.

    orbit: (B, 3).  asset: (B, N), −1 beyond each scene's count.  position: (B, N, 2), metres on the stage's
    plane.  orientation: (B, N) yaws in radians, or (B, N, 3, 3) rotations where objects float.
    """

    orbit: Tensor
    asset: Tensor
    position: Tensor
    orientation: Tensor

    @classmethod
    def from_sample(cls, sample: SceneSample, space: SceneSpace) -> SceneLatents:
        """Scenes drawn from the stage's family, nearest object first."""
        objects = sample.scene.objects
        orientation = objects.rotation if space.floating else sample.yaw
        return cls(sample.orbit, objects.asset, space.plane(objects.position), orientation)

    @property
    def counts(self) -> Tensor:
        """(B,) int64."""
        return (self.asset >= 0).sum(-1)

    @property
    def rotation(self) -> Tensor:
        """(B, N, 3, 3), world from object."""
        return matrix_from_yaw(self.orientation) if self.orientation.dim() == 2 else self.orientation

    def take_slots(self, order: Tensor) -> SceneLatents:
        """The objects in another order.  order: (B, N), for each new slot the old one."""
        return self._of_slots(lambda values: take_slots(values, order))

    def first_slots(self, count: int) -> SceneLatents:
        """The first `count` objects of each scene."""
        return self._of_slots(lambda values: values[:, :count])

    def _of_slots(self, function: Callable[[Tensor], Tensor]) -> SceneLatents:
        asset, position, orientation = map(function, (self.asset, self.position, self.orientation))
        return self.replace(asset=asset, position=position, orientation=orientation)


@dataclass(frozen=True)
class Prefixes(TensorBatch):
    """Scenes rendered with their first 0 … N objects.

    renders: (B, N + 1, …).  scenes: whose prefixes they are.
    """

    renders: Rendered
    scenes: SceneLatents


def draw_prefixes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Draw all prefixes of each scene from one rendering of all its objects; the last is the whole scene."""
    scene = space.scene(scenes.orbit, scenes.asset, scenes.position, scenes.rotation)
    layers = engine.layers(scene.objects, scene.camera, scene.light)
    backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
    return Prefixes(Rendered.from_prefixes(layers, backdrop), scenes)


def draw_step_inputs(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Prefixes:
    """Draw what the steps are shown: the scenes with their first 0 … N − 1 objects, the last left out."""
    steps = scenes.asset.shape[1]
    return draw_prefixes(scenes.first_slots(steps - 1), space, engine).replace(scenes=scenes)


def draw_scenes(scenes: SceneLatents, space: SceneSpace, engine: RenderEngine) -> Rendered:
    """Draw whole scenes; differentiable where the engine is."""
    scene = space.scene(scenes.orbit, scenes.asset, scenes.position, scenes.rotation)
    return Rendered.from_rendering(render(scene, engine))


def draw_from_prior(
    space: SceneSpace, engine: RenderEngine, count: int, generator: torch.Generator
) -> tuple[SceneLatents, Rendered]:
    """`count` scenes of the family, nearest object first, and their renders, lit as the family says."""
    sample = space.family.sample(count, generator)
    with torch.no_grad():
        drawn = render(sample.scene, engine)
    return SceneLatents.from_sample(sample, space), Rendered.from_rendering(drawn)


def nearest_first(scenes: SceneLatents, space: SceneSpace) -> SceneLatents:
    """Objects in the order in which families give them: by depth before the camera, empty slots last."""
    return scenes.take_slots(depth_order(scenes.asset, depths(scenes, space)))


def depths(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """How far before the camera objects' origins lie: (B, N), metres, infinite for empty slots."""
    depth = space.family.surroundings.depth(space.world(scenes.position), scenes.orbit)
    return depth.masked_fill(scenes.asset < 0, torch.inf)

"""MuJoCo as an engine of whole scenes, with shadows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.backdrop import Backdrop, table_and_background
from inverse_graphics.rendering.compositing import Composite, compose
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.mujoco.gl_faces import GlFaces
from inverse_graphics.rendering.mujoco.lamp import Lamp
from inverse_graphics.rendering.sampled.engine import SAMPLES, SampledEngine
from inverse_graphics.rendering.supersampled import averaged, enlarged
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch

SHADOW_PX = 1024


class ShadowEngine:
    """Renders scenes with shadows between objects by `render_scene`.  Layers have no shadows.

    The colour is ambient + share · diffuse · max(0, n · direction) times the albedo, with the share of the
    light that MuJoCo's shadow map leaves. Needs OpenGL.

    Args:
        library: of meshes.
        samples: along each side of a pixel.
        shadow_px: side of the shadow map.

    Raises:
        EngineError: MuJoCo is not installed, or there is no OpenGL here.

    """

    name = "mujoco-shadows"
    differentiable = False

    def __init__(self, library: MeshLibrary, samples: int = SAMPLES, shadow_px: int = SHADOW_PX) -> None:
        finder = GlFaces(library)
        self.samples = samples
        self._shadow_px = shadow_px
        self._averaging = SampledEngine(self.name, finder, samples)
        self._hard = SampledEngine(self.name, finder, 1)
        self._lamp = Lamp(library, shadow_px)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShadowEngine, (self._averaging.finder.library, self.samples, self._shadow_px)

    def with_samples(self, samples: int) -> ShadowEngine:
        """The same engine with another number of samples along each side of a pixel."""
        return ShadowEngine(self._averaging.finder.library, samples, self._shadow_px)

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone, unoccluded by the others and without shadows."""
        return self._averaging.layers(objects, camera, light)

    @torch.no_grad()
    def render_scene(self, scene: SceneBatch) -> Composite:
        """Render all objects over table and background, with shadows."""
        fine = replace(scene, camera=enlarged(scene.camera, self.samples))
        light, shade = fine.light, replace(fine.light, diffuse=torch.zeros_like(fine.light.diffuse))
        layers = self._hard.layers(fine.objects, fine.camera, light)
        lit, dim = compose(layers, _behind(fine, light)), self._composite(fine, shade)
        share = self._lamp.reach(scene, self.samples).to(scene.background)[:, None]
        image = torch.nn.functional.avg_pool2d(dim + share * (lit.image - dim), self.samples)
        whole = compose(averaged(layers, self.samples), _behind(scene, scene.light))
        return whole._replace(image=image)

    def _composite(self, scene: SceneBatch, light: LightBatch) -> Tensor:
        layers = self._hard.layers(scene.objects, scene.camera, light)
        return compose(layers, _behind(scene, light)).image


def _behind(scene: SceneBatch, light: LightBatch) -> Backdrop:
    return table_and_background(scene.table, scene.background, scene.camera, light)
